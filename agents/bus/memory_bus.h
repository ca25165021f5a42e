// agents/bus/memory_bus.h - the bus in one process, for simulation and tests.
//
// MemoryBroker is the server: it keeps the last value per subject. MemoryBus is one process's
// connection. Faults are asked for by name: nothing here is random.
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
  explicit MemoryBroker(const Clock& clock) : clock_(clock) {}
  // A power failure: the newest stored messages are gone. 0: the server starts again and has lost
  // nothing but, as NATS, the ids of messages that a newer one had replaced.
  void lose_tail(std::size_t messages);
  void wipe();  // the store was replaced: a new stream, sequence 0
  std::vector<Message> stored(const std::string& prefix) const;  // in order of arrival

 private:
  friend class MemoryBus;
  struct Stored {
    Message message;
    std::int64_t stamp;
  };
  const Clock& clock_;
  bool is_repeated(const std::string& id);
  mutable std::mutex mutex_;
  std::uint64_t last_ = 0;
  std::int64_t stamps_ = 0;
  std::uint64_t starts_ = 1, life_ = 1;              // of the server; of its store
  std::map<std::uint64_t, Stored> messages_;         // by sequence
  std::map<std::string, std::uint64_t> by_subject_;  // subject -> its only sequence
  std::map<std::string, std::int64_t> ids_;          // id -> when it was published, monotonic
  std::deque<std::pair<std::int64_t, std::string>> ids_in_order_;
};

class MemoryBus final : public Bus {
 public:
  // prefix: the subjects that next() delivers.
  explicit MemoryBus(MemoryBroker& broker, std::string prefix = "kairo.facts.")
      : broker_(broker), prefix_(std::move(prefix)) {}
  Status publish(const Message& message) override;
  Status publish(const std::vector<Message>& messages) override;
  void read_from(Cursor cursor) override;
  Result<Batch> next(std::size_t limit, std::chrono::milliseconds wait) override;
  void wake() override { woken_ = true; }
  Result<std::string> incarnation() override;

 private:
  void connect();  // with the broker's lock held
  MemoryBroker& broker_;
  const std::string prefix_;
  Cursor cursor_;
  std::uint64_t connected_ = 0;  // the broker's start that the reading belongs to
  bool is_news_ = false;         // the reading goes on from a cursor
  std::uint64_t whole_at_ = 0;   // what was there when the reading began
  std::atomic<bool> woken_{false};
};
}  // namespace kairo::bus
