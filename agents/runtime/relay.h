// agents/runtime/relay.h - the outbox: commands that are decided but not yet done.
//
// Rows live in the store (outbox/<number>), written by the loop in the batch that decided them.
// Order: within a lane (one Workspace; facts, status and effects apart) first in, first out; lanes
// are independent, so a registry that is down holds up nobody else. A failed row is tried again
// with backoff (0.2 s doubling to 30 s); `invalid` is final and told to the agent as a Trouble
// fact. `pending` is no failure: such a row is asked again each half second and may be cancelled
// meanwhile, so that nothing that takes an hour holds a lane. Done rows are erased lazily by the
// loop's next batch: a crash repeats an effect, never loses it. Thread-safe: any number of workers
// may call step().
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "agents/bus/bus.h"
#include "agents/runtime/agent.h"
#include "agents/runtime/lease.h"
#include "schemas/base/clock.h"
#include "state/store.h"

namespace kairo::runtime {
constexpr std::int64_t backoff_first_ms = 200, backoff_max_ms = 30'000, pending_ms = 500;
std::int64_t backoff_ms(std::uint32_t attempt);  // attempt 1 = the first failure

class Relay {
 public:
  struct Deps {
    bus::Bus& bus;
    Effects& effects;
    const Clock& clock;
    std::function<void(wire::FactT)> report;  // takes Trouble facts; called without locks held
    const Tenure* tenure = nullptr;           // asked before each row; null: it is alone
  };
  explicit Relay(Deps deps) : deps_(std::move(deps)) {}
  // Rows left by an earlier process. corrupt: a row cannot be read.
  Status load(const state::Store& store);
  // The keys of those rows for which it is true; and to forget them.
  std::vector<std::string> rows_that(const std::function<bool(const wire::CommandT&)>& are) const;
  void forget(const std::vector<std::string>& keys);
  void open();  // nothing is performed before
  void add(std::string key, wire::CommandT command);
  std::vector<std::string> queued_effects(const std::string& uid) const;  // their keys
  void cancel_effects(const std::string& uid);  // the queued ones; one that runs goes on
  void hurry(const std::string& uid);  // what its effects wait for may have come: try at once
  void wait(std::chrono::milliseconds longest) const;  // until a row may be due
  bool step();                           // performs one row that is due; false: nothing was due
  std::int64_t due_in_ms() const;        // until the next row; -1 when there is none
  std::vector<std::string> take_done();  // keys to erase in the loop's next batch
  std::size_t waiting() const;           // rows not yet done
  std::uint64_t performed() const;

 private:
  struct Row {
    std::string key;
    wire::CommandT command;
    std::uint32_t failures = 0;  // attempts so far
  };
  struct Lane {
    std::deque<Row> rows;
    bool busy = false;
    std::int64_t not_before_ms = 0;  // monotonic
  };
  Status perform(const wire::CommandT& command);
  bool may_perform() const;  // both with the lock held
  std::int64_t next_due_ms() const;
  void tell(const wire::CommandT& command, const Status& result, std::uint32_t attempt);

  Deps deps_;
  mutable std::mutex mutex_;
  mutable std::condition_variable news_;
  std::map<std::string, Lane> lanes_;
  std::string last_lane_;  // lanes take turns
  std::vector<std::string> done_;
  bool is_open_ = false;
  std::uint64_t performed_ = 0;
};
}  // namespace kairo::runtime
