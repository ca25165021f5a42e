// agents/bus/nats_bus.cpp - standing pull requests, explicit acks, and what to do after a break.
//
// Own pull requests over core NATS instead of natsSubscription_Fetch: libnats 3.4 corrupts its heap
// there when messages are queued and the batch is larger than one, and a request that is parked at
// the broker dies with it while the client stays connected and silent. So: one request of 256
// messages is always out, with heartbeats; silence, an error or a reconnect makes a new one on a
// fresh inbox (the old inbox loses its subscriber, so an orphaned request cannot steal messages).
#include "agents/bus/nats_bus.h"

#include <nats/nats.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <map>
#include <mutex>

#include "agents/bus/nats_streams.h"
#include "schemas/base/clock.h"

namespace kairo::bus {
namespace {
constexpr int request_batch = 256;
constexpr std::int64_t heartbeat_ms = 2'000, silence_ms = 3 * heartbeat_ms;

struct Options {
  natsOptions* raw = nullptr;
  ~Options() { natsOptions_Destroy(raw); }
};

Error failure(const std::string& what, natsStatus status) {
  const char* detail = nats_GetLastError(nullptr);
  return {Code::unavailable, "bus: " + what + ": " + natsStatus_GetText(status) +
                                 (detail != nullptr ? std::string(" ") + detail : "")};
}

class NatsBus final : public Bus {
 public:
  explicit NatsBus(NatsOptions options)
      : options_(std::move(options)),
        inbox_("_INBOX_" + (options_.consumer.empty() ? "pub" : options_.consumer) + "." +
               std::to_string(getpid())) {}
  ~NatsBus() override {
    natsSubscription_Destroy(pulls_);
    jsCtx_Destroy(context_);
    natsConnection_Close(connection_);
    natsConnection_Destroy(connection_);
  }
  Status connect();
  Status publish(const Message& message) override;
  Result<std::vector<Delivery>> next(std::size_t limit, std::chrono::milliseconds wait) override;
  Status ack(std::uint64_t token) override;
  void wake() override;
  Result<std::string> incarnation() override;

 private:
  bool connected() const {
    return natsConnection_Status(connection_) == NATS_CONN_STATUS_CONNECTED;
  }
  Status prepare();
  Status find_consumer();
  Status request();
  bool take(natsMsg* message, std::vector<Delivery>& out);
  static void reconnected(natsConnection*, void* self) { ++static_cast<NatsBus*>(self)->connects_; }

  const NatsOptions options_;
  const std::string inbox_;
  const SystemClock clock_;
  natsConnection* connection_ = nullptr;
  jsCtx* context_ = nullptr;
  std::atomic<std::uint64_t> connects_{1};
  std::mutex prepare_mutex_;
  std::uint64_t prepared_ = 0;  // the connects_ for which the admin has looked after the streams

  std::mutex pull_mutex_;  // all below
  natsSubscription* pulls_ = nullptr;
  std::uint64_t requested_ = 0,
                requests_ = 0;  // connects_ of the standing request; how many so far
  int owed_ = 0;
  std::int64_t heard_ms_ = 0;
  std::uint64_t token_ = 0;
  std::mutex wake_mutex_;   // pull_mutex_ is held while next() waits
  std::string pull_inbox_;  // where pulled messages, and our own wake-up calls, arrive
  std::map<std::uint64_t, std::string> replies_;  // token -> ack subject
};

Status NatsBus::connect() {
  Options options;
  natsStatus s = natsOptions_Create(&options.raw);
  if (s == NATS_OK) s = natsOptions_SetURL(options.raw, options_.url.c_str());
  if (s == NATS_OK && !options_.user.empty())
    s = natsOptions_SetUserInfo(options.raw, options_.user.c_str(), options_.password.c_str());
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
  if (s != NATS_OK && s != NATS_NOT_YET_CONNECTED) return failure("connect " + options_.url, s);
  jsOptions js;
  jsOptions_Init(&js);
  js.Wait = 5'000;
  s = natsConnection_JetStream(&context_, connection_, &js);
  if (s != NATS_OK) return failure("JetStream context", s);
  return ok();
}

// After each (re)connect the admin makes sure that streams and consumers exist: the broker may have
// come back with an empty store.
Status NatsBus::prepare() {
  if (!connected()) return Error{Code::unavailable, "bus: not connected to " + options_.url};
  if (!options_.admin) return ok();
  const std::lock_guard lock(prepare_mutex_);
  const std::uint64_t now = connects_;
  if (prepared_ == now) return ok();
  TRY(prepare_streams(context_, options_));
  prepared_ = now;
  return ok();
}

Status NatsBus::publish(const Message& message) {
  if (message.bytes.size() > message_bytes_max)
    return Error{Code::invalid, "publish " + message.subject + ": " +
                                    std::to_string(message.bytes.size()) + " bytes, at most " +
                                    std::to_string(message_bytes_max)};
  TRY(prepare());
  natsMsg* raw = nullptr;
  natsStatus s = natsMsg_Create(&raw, message.subject.c_str(), nullptr, message.bytes.data(),
                                static_cast<int>(message.bytes.size()));
  if (s != NATS_OK) return failure("publish " + message.subject, s);
  jsPubOptions options;
  jsPubOptions_Init(&options);
  options.MsgId = message.id.empty() ? nullptr : message.id.c_str();
  jsPubAck* stored = nullptr;
  s = js_PublishMsg(&stored, context_, raw, &options, nullptr);
  natsMsg_Destroy(raw);
  jsPubAck_Destroy(stored);
  if (s != NATS_OK) return failure("publish " + message.subject, s);
  return ok();
}

// The broker says nothing to a pull from a consumer that the admin has not made yet.
Status NatsBus::find_consumer() {
  jsConsumerInfo* info = nullptr;
  jsErrCode code{};
  const natsStatus s =
      js_GetConsumerInfo(&info, context_, facts_stream, options_.consumer.c_str(), nullptr, &code);
  jsConsumerInfo_Destroy(info);
  if (s == NATS_OK) return ok();
  return failure("consumer " + options_.consumer, s);
}

Status NatsBus::request() {
  const std::uint64_t connects = connects_;
  const std::int64_t now = clock_.monotonic_ms();
  std::uint64_t queued = 0;
  if (pulls_ != nullptr) natsSubscription_QueuedMsgs(pulls_, &queued);
  const bool silent = queued == 0 && now - heard_ms_ > silence_ms;
  if (pulls_ != nullptr && owed_ > 0 && requested_ == connects && !silent) return ok();
  TRY(find_consumer());
  natsSubscription_Destroy(pulls_);
  pulls_ = nullptr;
  const std::string inbox = inbox_ + ".pull." + std::to_string(++requests_);
  natsStatus s = natsConnection_SubscribeSync(&pulls_, connection_, inbox.c_str());
  if (s != NATS_OK) return failure("subscribe " + inbox, s);
  {
    const std::lock_guard lock(wake_mutex_);
    pull_inbox_ = inbox;
  }
  const std::string subject =
      std::string("$JS.API.CONSUMER.MSG.NEXT.") + facts_stream + "." + options_.consumer;
  const std::string body = R"({"batch":)" + std::to_string(request_batch) +
                           R"(,"expires":30000000000,"idle_heartbeat":)" +
                           std::to_string(heartbeat_ms * 1'000'000) + "}";
  s = natsConnection_PublishRequestString(connection_, subject.c_str(), inbox.c_str(),
                                          body.c_str());
  if (s != NATS_OK) return failure("pull", s);
  owed_ = request_batch;
  requested_ = connects;
  heard_ms_ = now;
  return ok();
}

// A message for us, or one of the broker's words about the request. false: the request has ended.
bool NatsBus::take(natsMsg* message, std::vector<Delivery>& out) {
  const std::string subject = natsMsg_GetSubject(message);
  heard_ms_ = clock_.monotonic_ms();
  const char* status = nullptr;
  if (subject.starts_with(inbox_) && natsMsgHeader_Get(message, "Status", &status) != NATS_OK)
    return false;  // our own wake()
  if (natsMsg_GetDataLength(message) == 0 &&
      natsMsgHeader_Get(message, "Status", &status) == NATS_OK) {
    if (std::strcmp(status, "100") != 0) owed_ = 0;  // 404, 408, 409: ended; 100: heartbeat
    return owed_ > 0;
  }
  Delivery delivery;
  delivery.message.subject = subject;
  const char* id = nullptr;
  if (natsMsgHeader_Get(message, "Nats-Msg-Id", &id) == NATS_OK) delivery.message.id = id;
  delivery.message.bytes.assign(natsMsg_GetData(message),
                                static_cast<std::size_t>(natsMsg_GetDataLength(message)));
  const char* reply = natsMsg_GetReply(message);
  delivery.token = ++token_;
  if (reply != nullptr) replies_[delivery.token] = reply;
  // Who cannot ack (a full disk) gets the same messages again and again: the oldest tokens are of
  // no use any more.
  while (replies_.size() > 4 * kept_unacked) replies_.erase(replies_.begin());
  out.push_back(std::move(delivery));
  return --owed_ > 0;
}

Result<std::vector<Delivery>> NatsBus::next(std::size_t limit, std::chrono::milliseconds wait) {
  const std::lock_guard lock(pull_mutex_);
  if (const Status ready = prepare(); !ready.ok()) {
    nats_Sleep(std::min<std::int64_t>(wait.count(), 50));  // the caller's loop must not spin
    return ready.error();
  }
  if (const Status asked = request(); !asked.ok()) {
    nats_Sleep(std::min<std::int64_t>(wait.count(), 50));
    return asked.error();
  }
  std::vector<Delivery> out;
  const std::int64_t deadline = clock_.monotonic_ms() + wait.count();
  while (out.size() < limit) {
    std::uint64_t queued = 0;
    natsSubscription_QueuedMsgs(pulls_, &queued);
    if (queued == 0 && !out.empty()) break;  // have some: do not wait for more
    const std::int64_t left = deadline - clock_.monotonic_ms();
    if (queued == 0 && left <= 0) break;
    natsMsg* message = nullptr;
    const natsStatus s =
        natsSubscription_NextMsg(&message, pulls_, std::max<std::int64_t>(left, 1));
    if (s == NATS_TIMEOUT) break;
    if (s != NATS_OK) {
      owed_ = 0;
      if (!out.empty()) break;
      return failure("pull", s);
    }
    const bool open = take(message, out);
    natsMsg_Destroy(message);
    if (!open) break;
  }
  return out;
}

Status NatsBus::ack(std::uint64_t token) {
  std::string reply;
  {
    const std::lock_guard lock(pull_mutex_);
    const auto found = replies_.find(token);
    if (found == replies_.end()) return ok();
    reply = std::move(found->second);
    replies_.erase(found);
  }
  if (!connected()) return ok();  // it comes again, and the version gate drops it
  const natsStatus s = natsConnection_PublishString(connection_, reply.c_str(), "+ACK");
  if (s != NATS_OK) return failure("ack", s);
  return ok();
}

void NatsBus::wake() {
  const std::lock_guard lock(wake_mutex_);
  if (!pull_inbox_.empty() && connected())
    natsConnection_PublishString(connection_, pull_inbox_.c_str(), "");
}

Result<std::string> NatsBus::incarnation() {
  TRY(prepare());
  jsStreamInfo* info = nullptr;
  jsErrCode code{};
  const natsStatus s = js_GetStreamInfo(&info, context_, facts_stream, nullptr, &code);
  if (s == NATS_NOT_FOUND && options_.admin) {  // wiped under a living connection
    const std::lock_guard lock(prepare_mutex_);
    prepared_ = 0;
  }
  if (s != NATS_OK) return failure("stream info", s);
  std::string name = std::to_string(info->Created) + "/" + std::to_string(connects_);
  jsStreamInfo_Destroy(info);
  return name;
}
}  // namespace

Result<std::unique_ptr<Bus>> open_nats_bus(const NatsOptions& options) {
  auto bus = std::make_unique<NatsBus>(options);
  TRY(bus->connect());
  return std::unique_ptr<Bus>(std::move(bus));
}
}  // namespace kairo::bus
