// agents/bus/bus.h - the bus as the project sees it: at least once, the last value per subject
// kept.
//
// Every agent has one durable consumer over all facts. A published value replaces the older one on
// its subject; a consumer that was away sees the newest only. Status subjects are fire-and-forget
// for people and programs outside; they are kept as last values too.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::bus {
constexpr std::size_t message_bytes_max = 1 << 20;  // NATS' default max_payload
constexpr std::chrono::milliseconds duplicate_window{120'000};
constexpr std::size_t kept_unacked = 1024;  // a consumer with so many unacked messages gets no new
struct Message {
  std::string subject;  // "kairo.facts.job.default.tune-me"; tokens are encoded by subject()
  std::string id;       // same id published twice within the window: delivered once
  std::string bytes;    // one flatbuffer or CloudEvent
};
struct Delivery {
  Message message;
  std::uint64_t token = 0;  // hand back to ack(); unacked messages come again
};
class Bus {  // thread-safe
 public:
  virtual ~Bus() = default;
  // ok: the bus has stored it. invalid: larger than message_bytes_max. unavailable: nothing was
  // promised; publish again.
  virtual Status publish(const Message& message) = 0;
  // Up to `limit` messages, at once if there are any, else after at most `wait`. May be empty.
  virtual Result<std::vector<Delivery>> next(std::size_t limit, std::chrono::milliseconds wait) = 0;
  virtual Status ack(std::uint64_t token) = 0;
  // Makes a next() that waits now return early, or the following one not wait.
  virtual void wake() = 0;
  // Names this stretch of the bus's life: another value than before means that messages may have
  // been lost (a new store, or a reconnect to a broker that may have lost its tail): say again what
  // must be known. Sequence numbers cannot tell: others publish and hide a tail that is gone.
  virtual Result<std::string> incarnation() = 0;
};
// One subject token: characters outside [A-Za-z0-9-] become "_hh" (lower-case hex), "" becomes "_".
std::string token(const std::string& text);
}  // namespace kairo::bus
