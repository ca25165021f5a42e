// agents/bus/bus.h - the bus as the project sees it: the last value per subject, heard by
// everybody.
//
// Every process reads all facts from where its own store left off, in the stream's order. Nothing
// is acknowledged: the reader keeps its Cursor in the batch that keeps what it has read. A
// published value replaces the older one on its subject; a reader that was away sees the newest
// only. Status subjects are fire-and-forget for people and programs outside; they are kept as last
// values too.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::bus {
constexpr std::size_t message_bytes_max = 1 << 20;  // NATS' default max_payload
constexpr std::chrono::milliseconds duplicate_window{120'000};
struct Message {
  std::string subject;  // "kairo.facts.job.default.tune-me"; tokens are encoded by subject()
  std::string id;       // same id published twice within the window: delivered once
  std::string bytes;    // one flatbuffer or CloudEvent
};
// Where a reader stands in the stream.
struct Cursor {
  std::string stream;          // names the stream's life; "" = nothing has been read
  std::uint64_t sequence = 0;  // the last message that was taken
  std::int64_t stamp = 0;      // the broker's time of it: tells it from one that took its number
  bool operator==(const Cursor&) const = default;
};
struct Batch {
  std::vector<Message> messages;  // in the order in which they were said
  // They were said after what was read before them. false: last values of long ago, among which one
  // may be older than what the reader has (the broker has lost its tail).
  bool is_news = false;
  Cursor after;           // the reader stands here when it has kept them
  bool is_whole = false;  // all that was there when the reading began has been handed out
};
class Bus {  // thread-safe
 public:
  virtual ~Bus() = default;
  // ok: the bus has stored it. invalid: larger than message_bytes_max. unavailable: nothing was
  // promised; publish again.
  virtual Status publish(const Message& message) = 0;
  // In their order, without waiting for one before the next. ok: the bus has stored all of them.
  // Else the first error; some may be stored: publish all again, of each subject the newest only.
  virtual Status publish(const std::vector<Message>& messages) = 0;
  // The next messages are those after the cursor; the last values of all subjects when the broker
  // cannot go on from there: another life of the stream, a lost tail, or no cursor.
  virtual void read_from(Cursor cursor) = 0;
  // Up to `limit` messages, at once if there are any, else after at most `wait`. May be empty. They
  // may come again after a break.
  virtual Result<Batch> next(std::size_t limit, std::chrono::milliseconds wait) = 0;
  // Makes a next() that waits now return early, or the following one not wait.
  virtual void wake() = 0;
  // Names this stretch of the bus's life: another value than before means that messages may have
  // been lost (a new store, or a reconnect to a broker that may have lost its tail): say again what
  // must be known. Sequence numbers cannot tell: others publish and hide a tail that is gone.
  virtual Result<std::string> incarnation() = 0;
};
Status check_size(const Message& message);  // invalid: no bus takes it
// One subject token: characters outside [A-Za-z0-9-] become "_hh" (lower-case hex), "" becomes "_".
std::string token(const std::string& text);
}  // namespace kairo::bus
