// agents/bus/nats_bus.cpp - the connection, publishing, and a new reader after each break.
#include "agents/bus/nats_bus.h"

#include <nats/nats.h>

#include <atomic>
#include <fstream>
#include <mutex>
#include <utility>

#include "agents/bus/nats_reader.h"
#include "agents/bus/nats_streams.h"

namespace kairo::bus {
namespace {
constexpr std::int64_t publish_ms_max = 5'000;

struct Options {
  natsOptions* raw = nullptr;
  ~Options() { natsOptions_Destroy(raw); }
};

struct Outgoing {  // options point into the message that it is made of
  Outgoing(const std::string& subject, const Message& message) {
    jsPubOptions_Init(&options);
    options.MsgId = message.id.empty() ? nullptr : message.id.c_str();
    status = natsMsg_Create(&raw, subject.c_str(), nullptr, message.bytes.data(),
                            static_cast<int>(message.bytes.size()));
  }
  ~Outgoing() { natsMsg_Destroy(raw); }  // nothing when the library has taken it
  Outgoing(const Outgoing&) = delete;
  Outgoing& operator=(const Outgoing&) = delete;
  jsPubOptions options{};
  natsMsg* raw = nullptr;
  natsStatus status = NATS_OK;
};

// Pids repeat: each container's is 1.
std::string unique() {
  std::string id;
  std::getline(std::ifstream("/proc/sys/kernel/random/uuid"), id);
  return id;
}

class NatsBus final : public Bus {
 public:
  explicit NatsBus(NatsOptions options)
      : options_(std::move(options)),
        id_(unique()),
        inbox_(options_.names.inbox(options_.user.empty() ? "kairo" : options_.user) + "." + id_),
        client_("kairo " + (options_.client.empty() ? "" : options_.client + " ") + id_) {}
  ~NatsBus() override {
    reader_.reset();
    jsCtx_Destroy(batch_context_);
    jsCtx_Destroy(context_);
    natsConnection_Close(connection_);
    natsConnection_Destroy(connection_);
  }
  Status connect();
  Status publish(const Message& message) override;
  Status publish(const std::vector<Message>& messages) override;
  void read_from(Cursor cursor) override;
  Result<Batch> next(std::size_t limit, std::chrono::milliseconds wait) override;
  void wake() override;
  Result<std::string> incarnation() override;

 private:
  bool connected() const {
    return natsConnection_Status(connection_) == NATS_CONN_STATUS_CONNECTED;
  }
  static void answered(jsCtx*, natsMsg* message, jsPubAck*, jsPubAckErr* error, void* self);
  Status prepare();
  Status renew_reader();
  static void reconnected(natsConnection*, void* self) { ++static_cast<NatsBus*>(self)->connects_; }

  const NatsOptions options_;
  const std::string id_, inbox_, client_;
  natsConnection* connection_ = nullptr;
  jsCtx* context_ = nullptr;
  std::atomic<std::uint64_t> connects_{1};
  std::mutex prepare_mutex_;
  std::uint64_t prepared_ = 0;  // the connects_ for which the admin has looked after the streams

  std::mutex batch_mutex_;
  jsCtx* batch_context_ = nullptr;            // its acks come to answered()
  std::atomic<natsStatus> refusal_{NATS_OK};  // what the broker said to one of the batch

  std::mutex next_mutex_;  // one next() at a time
  Cursor cursor_;
  std::uint64_t reader_connects_ = 0;  // the connects_ of the reader
  std::mutex reader_mutex_;            // held while the pointer changes: others wake it
  std::unique_ptr<NatsReader> reader_;
  std::string life_;  // of the stream, as last seen
};

Status NatsBus::connect() {
  Options options;
  natsStatus s = natsOptions_Create(&options.raw);
  if (s == NATS_OK) s = natsOptions_SetURL(options.raw, options_.url.c_str());
  if (s == NATS_OK && !options_.user.empty())
    s = natsOptions_SetUserInfo(options.raw, options_.user.c_str(), options_.password.c_str());
  if (s == NATS_OK && !options_.ca_file.empty())
    s = natsOptions_LoadCATrustedCertificates(options.raw, options_.ca_file.c_str());
  if (s == NATS_OK) s = natsOptions_SetName(options.raw, client_.c_str());
  if (s == NATS_OK) s = natsOptions_SetMaxReconnect(options.raw, -1);
  if (s == NATS_OK) s = natsOptions_SetReconnectWait(options.raw, 200);
  if (s == NATS_OK) s = natsOptions_SetPingInterval(options.raw, 10'000);
  if (s == NATS_OK) s = natsOptions_SetMaxPingsOut(options.raw, 2);
  if (s == NATS_OK) s = natsOptions_SetTimeout(options.raw, 2'000);
  // What was not sent is still in the outbox: the library must not keep a second copy.
  if (s == NATS_OK) s = natsOptions_SetReconnectBufSize(options.raw, 1);
  if (s == NATS_OK) s = natsOptions_SetFailRequestsOnDisconnect(options.raw, true);
  if (s == NATS_OK) s = natsOptions_SetReconnectedCB(options.raw, reconnected, this);
  if (s == NATS_OK) s = natsOptions_SetCustomInboxPrefix(options.raw, inbox_.c_str());
  if (s == NATS_OK) s = natsOptions_SetRetryOnFailedConnect(options.raw, true, reconnected, this);
  if (s == NATS_OK) s = natsConnection_Connect(&connection_, options.raw);
  if (s != NATS_OK && s != NATS_NOT_YET_CONNECTED)
    return nats_failure("connect " + options_.url, s);
  jsOptions js;
  jsOptions_Init(&js);
  js.Wait = publish_ms_max;
  s = natsConnection_JetStream(&context_, connection_, &js);
  js.PublishAsync.AckHandler = answered;
  js.PublishAsync.AckHandlerClosure = this;
  if (s == NATS_OK) s = natsConnection_JetStream(&batch_context_, connection_, &js);
  if (s != NATS_OK) return nats_failure("JetStream context", s);
  return ok();
}

// After each (re)connect the admin makes sure that the streams exist: the broker may have
// come back with an empty store.
Status NatsBus::prepare() {
  if (!connected()) return Error{Code::unavailable, "bus: not connected to " + options_.url};
  if (!options_.admin) return ok();
  const std::lock_guard lock(prepare_mutex_);
  const std::uint64_t now = connects_;
  if (prepared_ == now) return ok();
  TRY(prepare_streams(connection_, options_.names, options_.replicas));
  prepared_ = now;
  return ok();
}

Status NatsBus::publish(const Message& message) {
  TRY(check_size(message));
  TRY(prepare());
  Outgoing out(options_.names.subject(message.subject), message);
  jsPubAck* stored = nullptr;
  if (out.status == NATS_OK)
    out.status = js_PublishMsg(&stored, context_, out.raw, &out.options, nullptr);
  jsPubAck_Destroy(stored);
  if (out.status != NATS_OK) return nats_failure("publish " + message.subject, out.status);
  return ok();
}

// Acks of all come to one context: one batch at a time.
Status NatsBus::publish(const std::vector<Message>& messages) {
  if (messages.size() == 1) return publish(messages.front());
  for (const Message& message : messages) TRY(check_size(message));
  TRY(prepare());
  const std::lock_guard batch(batch_mutex_);
  refusal_ = NATS_OK;
  const std::uint64_t connects = connects_;
  natsStatus s = NATS_OK;
  for (const Message& message : messages) {
    Outgoing out(options_.names.subject(message.subject), message);
    s = out.status != NATS_OK ? out.status
                              : js_PublishMsgAsync(batch_context_, &out.raw, &out.options);
    if (s != NATS_OK) break;
  }
  for (int waits = 0; s == NATS_OK; ++waits) {
    jsPubOptions wait;
    jsPubOptions_Init(&wait);
    wait.MaxWait = 100;  // then looks whether the connection is still the same
    s = js_PublishAsyncComplete(batch_context_, &wait);
    if (s == NATS_OK) break;
    const bool may_come = s == NATS_TIMEOUT && connected() && connects_ == connects;
    if (may_come && waits * wait.MaxWait < publish_ms_max) s = NATS_OK;
  }
  natsMsgList unanswered{};
  if (s != NATS_OK && js_PublishAsyncGetPendingList(&unanswered, batch_context_) == NATS_OK)
    natsMsgList_Destroy(&unanswered);
  if (s == NATS_OK) s = refusal_;
  if (s != NATS_OK)
    return nats_failure("publish " + std::to_string(messages.size()) + " messages", s);
  return ok();
}
void NatsBus::answered(jsCtx*, natsMsg* message, jsPubAck*, jsPubAckErr* error, void* self) {
  if (error != nullptr) static_cast<NatsBus*>(self)->refusal_ = error->Err;
  natsMsg_Destroy(message);
}

void NatsBus::read_from(Cursor cursor) {
  const std::lock_guard lock(next_mutex_);
  cursor_ = std::move(cursor);
  const std::lock_guard pointer(reader_mutex_);
  reader_.reset();
}

Status NatsBus::renew_reader() {
  const std::uint64_t connects = connects_;
  {
    const std::lock_guard lock(reader_mutex_);
    const bool is_alive =
        reader_ && reader_connects_ == connects && (life_.empty() || life_ == reader_->stream());
    if (is_alive) return ok();
    reader_.reset();
  }
  auto reader = TRY(NatsReader::start(context_, options_.names, options_.reads, cursor_));
  const std::lock_guard lock(reader_mutex_);
  reader_ = std::move(reader);
  reader_connects_ = connects;
  life_ = reader_->stream();
  return ok();
}

Result<Batch> NatsBus::next(std::size_t limit, std::chrono::milliseconds wait) {
  const std::lock_guard lock(next_mutex_);
  Status ready = prepare();
  if (ready.ok()) ready = renew_reader();
  if (!ready.ok()) {
    nats_Sleep(std::min<std::int64_t>(wait.count(), 50));  // the caller's loop must not spin
    return ready.error();
  }
  Batch out = reader_->next(limit, wait);  // nobody else replaces it
  cursor_ = out.after;
  return out;
}

void NatsBus::wake() {
  const std::lock_guard lock(reader_mutex_);
  if (reader_) reader_->wake();
}

Result<std::string> NatsBus::incarnation() {
  TRY(prepare());
  jsStreamInfo* info = nullptr;
  jsErrCode code{};
  const std::string stream = NatsReader::stream_of(options_.names, options_.reads);
  const natsStatus s = js_GetStreamInfo(&info, context_, stream.c_str(), nullptr, &code);
  if (s == NATS_NOT_FOUND && options_.admin) {  // wiped under a living connection
    const std::lock_guard lock(prepare_mutex_);
    prepared_ = 0;
  }
  if (s != NATS_OK) return nats_failure("stream info", s);
  const std::string life = std::to_string(info->Created);
  std::string name = life + "/" + std::to_string(connects_);
  jsStreamInfo_Destroy(info);
  const std::lock_guard lock(reader_mutex_);
  life_ = life;  // another one than the reader's: made anew under it
  return name;
}
}  // namespace

Result<std::unique_ptr<Bus>> open_nats_bus(const NatsOptions& options) {
  auto bus = std::make_unique<NatsBus>(options);
  TRY(bus->connect());
  return std::unique_ptr<Bus>(std::move(bus));
}
}  // namespace kairo::bus
