// agents/runtime/loop.h - fact -> decide -> one synced batch -> ack.
//
// Many facts share one batch (group commit). The batch holds the new records, the outbox rows and
// the erasures of rows that are done; then the messages are acked; then the relay may perform the
// rows. A fact that came before changes nothing (its version is not newer), so redelivery is
// harmless. One thread calls start() and step(); observe() may be called from any thread.
#pragma once
#include <deque>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agents/bus/bus.h"
#include "agents/runtime/agent.h"
#include "agents/runtime/relay.h"
#include "schemas/base/clock.h"
#include "state/store.h"

namespace kairo::runtime {
constexpr std::size_t facts_per_batch = 256;
constexpr std::int64_t keep_gone_ms = 3600 * 1000;  // longer than a message can come late

class Loop {
 public:
  struct Deps {
    std::string agent;  // "launcher": names the dead-letter subject and the log lines
    bus::Bus& bus;
    state::Store& store;
    Relay& relay;
    const Clock& clock;
    Decide decide;
    std::set<wire::FactBody>
        own;             // kinds that this agent publishes: sent again if the bus lost them
    std::string self{};  // View::self
  };
  explicit Loop(Deps deps) : deps_(std::move(deps)) {}
  Status start();  // reads the store and decides everything once; corrupt: stop and page
  // One round: at most facts_per_batch facts, due timers. Waits at most `wait` for a fact.
  Status step(std::chrono::milliseconds wait);
  // A fact from inside this process (a sensor, a failed effect). It gets its version here.
  // publish: tell the others too.
  void observe(wire::FactT fact, bool publish);
  std::int64_t wake_at_ms() const;  // the next timer, Unix time; 0 = none
  std::size_t records() const { return records_.size(); }
  std::uint64_t facts() const { return facts_; }
  const std::map<std::string, wire::RecordT>& all() const { return records_; }
  const wire::RecordT* find(const std::string& uid) const;  // for tests and `debug`

 private:
  struct Round;  // what one step changes, before it is committed
  void take(Round& round, const wire::FactT& fact);
  void own_fact(Round& round, wire::FactT fact, bool publish);
  Status dead_letter(const bus::Delivery& delivery, const Error& why);
  const std::string& incarnation_of(const Round& round) const;
  void settle(Round& round, const std::string& uid);
  void command(Round& round, wire::CommandT command);
  wire::RecordT& edit(Round& round, const std::string& uid);
  void republish_if_lost(Round& round);
  void sweep(Round& round);
  Status commit(Round& round);

  Deps deps_;
  std::map<std::string, wire::RecordT> records_;  // by uid; what the store holds
  Nodes nodes_;
  std::set<std::pair<std::int64_t, std::string>> timers_;  // (wake_at_ms, uid)
  std::vector<std::string> done_;                          // outbox keys to erase in the next batch
  std::uint64_t outbox_ = 0, facts_ = 0;
  std::string incarnation_;       // "" = none yet: a new process says all again
  std::int64_t said_all_ms_ = 0;  // monotonic
  std::int64_t incarnation_checked_ms_ = -1'000'000, swept_ms_ = 0;
  mutable std::mutex observed_mutex_;
  std::deque<std::pair<wire::FactT, bool>> observed_;
};
}  // namespace kairo::runtime
