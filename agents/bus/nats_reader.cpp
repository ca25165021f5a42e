// agents/bus/nats_reader.cpp - where to begin, and a queue between the library's thread and ours.
#include "agents/bus/nats_reader.h"

#include <nats/nats.h>

#include <condition_variable>
#include <deque>
#include <mutex>

#include "agents/bus/nats_streams.h"
#include "schemas/base/clock.h"

namespace kairo::bus {
namespace {
constexpr std::int64_t retired_ms = 5'000;
constexpr std::size_t queue_max = 4096;  // messages; the broker is held back beyond

struct StreamState {
  std::string life;  // when it was made
  bool is_empty = false;
  std::uint64_t last = 0;  // sequence of its newest message
};
Result<StreamState> look_at_stream(jsCtx* context, const std::string& name) {
  jsStreamInfo* info = nullptr;
  jsErrCode code{};
  const natsStatus s = js_GetStreamInfo(&info, context, name.c_str(), nullptr, &code);
  if (s != NATS_OK) return nats_failure("stream info", s);
  StreamState out{std::to_string(info->Created), info->State.Msgs == 0, info->State.LastSeq};
  jsStreamInfo_Destroy(info);
  return out;
}
// The cursor when the stream still holds its message, else the beginning of this life.
Result<Cursor> start_of(jsCtx* context, const std::string& stream, const Cursor& from,
                        const std::string& life) {
  const Cursor beginning{life, 0, 0};
  if (from.stream != life || from.sequence == 0) return beginning;
  natsMsg* message = nullptr;
  jsErrCode code{};
  const natsStatus s = js_GetMsg(&message, context, stream.c_str(), from.sequence, nullptr, &code);
  if (s == NATS_NOT_FOUND) return beginning;  // a newer value has replaced it
  if (s != NATS_OK) return nats_failure("message " + std::to_string(from.sequence), s);
  const bool is_same = natsMsg_GetTime(message) == from.stamp;
  natsMsg_Destroy(message);
  return is_same ? from : beginning;
}
// nats.c 3.4 finds the subscription of a message that arrives and locks it a moment later without
// holding on to it: one that is freed in between leaves the connection's thread on a lock that is
// no more, and every later call times out. So a subscription ends now and is freed later.
void retire(natsSubscription* subscription) {
  struct Retired {
    natsSubscription* subscription;
    std::int64_t since_ms;
  };
  static std::mutex mutex;
  static auto* retired = new std::deque<Retired>;  // lives as long as the library's threads
  natsSubscription_Unsubscribe(subscription);
  const std::int64_t now_ms = SystemClock().monotonic_ms();
  const std::lock_guard lock(mutex);
  retired->push_back({subscription, now_ms});
  for (; now_ms - retired->front().since_ms > retired_ms; retired->pop_front())
    natsSubscription_Destroy(retired->front().subscription);
}
}  // namespace

struct NatsReader::Arrivals {
  explicit Arrivals(const Names& n) : names(n) {}
  struct Arrived {
    Message message;
    Cursor cursor;
    bool is_last = false;  // nothing was behind it then
  };
  const Names names;
  std::mutex mutex;
  std::condition_variable news;
  std::deque<Arrived> queue;
  bool is_over = false, is_woken = false;

  // On the library's thread.
  static void took(natsConnection*, natsSubscription*, natsMsg* raw, void* closure) {
    Arrivals& self = **static_cast<std::shared_ptr<Arrivals>*>(closure);
    jsMsgMetaData* meta = nullptr;
    if (natsMsg_GetMetaData(&meta, raw) == NATS_OK) {
      const char* id = nullptr;
      natsMsgHeader_Get(raw, "Nats-Msg-Id", &id);
      Arrived arrived{
          {self.names.ours(natsMsg_GetSubject(raw)),
           id != nullptr ? id : "",
           {natsMsg_GetData(raw), static_cast<std::size_t>(natsMsg_GetDataLength(raw))}},
          {"", meta->Sequence.Stream, meta->Timestamp},
          meta->NumPending == 0};
      jsMsgMetaData_Destroy(meta);
      std::unique_lock lock(self.mutex);
      self.news.wait(lock, [&] { return self.queue.size() < queue_max || self.is_over; });
      if (!self.is_over) self.queue.push_back(std::move(arrived));
      self.news.notify_all();
    }
    natsMsg_Destroy(raw);
  }
  static void ended(void* closure) { delete static_cast<std::shared_ptr<Arrivals>*>(closure); }
};

std::string NatsReader::stream_of(const Names& names, const std::string& subjects) {
  return subjects.starts_with("kairo.curves.") ? names.curves() : names.facts();
}

Result<std::unique_ptr<NatsReader>> NatsReader::start(jsCtx* context, const Names& names,
                                                      const std::string& wanted, Cursor from) {
  std::unique_ptr<NatsReader> out(new NatsReader);
  out->arrivals_ = std::make_shared<Arrivals>(names);
  const std::string name = stream_of(names, wanted), subjects = names.subject(wanted);
  const StreamState stream = TRY(look_at_stream(context, name));
  out->cursor_ = TRY(start_of(context, name, from, stream.life));
  const std::uint64_t after = out->cursor_.sequence;
  out->goes_on_ = after != 0;
  jsSubOptions options;
  jsSubOptions_Init(&options);
  options.Ordered = true;
  options.Stream = name.c_str();
  options.Config.DeliverPolicy = after == 0 ? js_DeliverLastPerSubject : js_DeliverByStartSequence;
  options.Config.OptStartSeq = after == 0 ? 0 : after + 1;
  auto* closure = new std::shared_ptr<Arrivals>(out->arrivals_);
  jsErrCode code{};
  natsStatus s = js_Subscribe(&out->subscription_, context, subjects.c_str(), Arrivals::took,
                              closure, nullptr, &options, &code);
  if (s != NATS_OK) {
    delete closure;
    return nats_failure("subscribe", s);
  }
  natsSubscription_SetOnCompleteCB(out->subscription_, Arrivals::ended, closure);
  natsSubscription_SetPendingLimits(out->subscription_, -1, -1);
  jsConsumerInfo* consumer = nullptr;
  s = natsSubscription_GetConsumerInfo(&consumer, out->subscription_, nullptr, &code);
  if (s != NATS_OK) return nats_failure("consumer info", s);
  out->last_ = stream.last;
  // Nothing is there, or nothing behind the cursor: no message will tell.
  out->is_whole_ = stream.is_empty || after >= stream.last ||
                   (consumer->NumPending == 0 && consumer->Delivered.Consumer == 0);
  jsConsumerInfo_Destroy(consumer);
  return out;
}

NatsReader::~NatsReader() {
  {
    const std::lock_guard lock(arrivals_->mutex);
    arrivals_->is_over = true;
    arrivals_->queue.clear();
  }
  arrivals_->news.notify_all();
  if (subscription_ != nullptr) retire(subscription_);
}

Batch NatsReader::next(std::size_t limit, std::chrono::milliseconds wait) {
  Batch out;
  Arrivals& a = *arrivals_;
  std::unique_lock lock(a.mutex);
  a.news.wait_for(lock, wait, [&] { return !a.queue.empty() || a.is_woken; });
  a.is_woken = false;
  out.is_news = goes_on_ || is_whole_;
  for (; !a.queue.empty() && out.messages.size() < limit; a.queue.pop_front()) {
    if (is_whole_ && !out.is_news) break;  // what follows is news, in the next batch
    Arrivals::Arrived& arrived = a.queue.front();
    cursor_.sequence = arrived.cursor.sequence;
    cursor_.stamp = arrived.cursor.stamp;
    // By its number: nats-server 2.9 miscounts what is pending while values are replaced. The
    // newest message is its subject's last value, so it comes, or a newer one in its place.
    is_whole_ = is_whole_ || arrived.is_last || arrived.cursor.sequence >= last_;
    out.messages.push_back(std::move(arrived.message));
  }
  lock.unlock();
  a.news.notify_all();
  out.after = cursor_;
  out.is_whole = is_whole_;
  return out;
}

void NatsReader::wake() {
  const std::lock_guard lock(arrivals_->mutex);
  arrivals_->is_woken = true;
  arrivals_->news.notify_all();
}
}  // namespace kairo::bus
