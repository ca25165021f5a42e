// agents/bus/memory_bus.h - the bus in one process, for simulation and tests.
//
// MemoryBroker is the server: it keeps the last value per subject and a cursor per consumer.
// MemoryBus is one agent's connection. Faults are asked for by name: nothing here is random.
#pragma once
#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "agents/bus/bus.h"
#include "schemas/base/clock.h"

namespace kairo::bus {
class MemoryBroker {  // thread-safe
 public:
  // ack_pending_max: a consumer that holds so many messages unacked gets no new ones.
  MemoryBroker(const Clock& clock, std::chrono::milliseconds ack_wait,
               std::size_t ack_pending_max = kept_unacked)
      : clock_(clock), ack_wait_(ack_wait), ack_pending_max_(ack_pending_max) {}
  // A power failure: the newest stored messages are gone. 0: the server starts again and has lost
  // nothing but, as NATS, the ids of messages that a newer one had replaced.
  void lose_tail(std::size_t messages);
  void wipe();        // the store was replaced: a new stream, sequence 0
  bool idle() const;  // every consumer has acked all that is stored
  std::vector<Message> stored(const std::string& prefix) const;  // in order of arrival

 private:
  friend class MemoryBus;
  struct Consumer {
    std::uint64_t delivered = 0;                    // highest sequence handed out once
    std::map<std::uint64_t, std::int64_t> unacked;  // sequence -> when to deliver again
  };
  const Clock& clock_;
  const std::chrono::milliseconds ack_wait_;
  const std::size_t ack_pending_max_;
  bool is_repeated(const std::string& id);
  mutable std::mutex mutex_;
  std::uint64_t last_ = 0, incarnation_ = 1;
  std::map<std::uint64_t, Message> messages_;        // by sequence
  std::map<std::string, std::uint64_t> by_subject_;  // subject -> its only sequence
  std::map<std::string, std::int64_t> ids_;          // id -> when it was published, monotonic
  std::deque<std::pair<std::int64_t, std::string>> ids_in_order_;
  std::map<std::string, Consumer> consumers_;
};

class MemoryBus final : public Bus {
 public:
  // consumer: the durable's name; prefix: the subjects that next() delivers.
  MemoryBus(MemoryBroker& broker, std::string consumer, std::string prefix = "kairo.facts.");
  Status publish(const Message& message) override;
  Result<std::vector<Delivery>> next(std::size_t limit, std::chrono::milliseconds wait) override;
  Status ack(std::uint64_t token) override;
  void wake() override { woken_ = true; }
  Result<std::string> incarnation() override;

 private:
  MemoryBroker& broker_;
  const std::string consumer_, prefix_;
  std::atomic<bool> woken_{false};
};
}  // namespace kairo::bus
