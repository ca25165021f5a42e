// agents/runtime/loop.h - fact -> decide -> one batch.
//
// Many facts share one batch (group commit). The batch holds the new records, the outbox rows, the
// erasures of rows that are done, and the bus's cursor: how far the facts have been read. It is
// synced where a row of it must outlive the machine (outlives.h). Then the relay may perform the
// rows. A fact that came before changes nothing (its version is not newer), so reading again is
// harmless. A store that is empty, or older than what was said, is made good from the bus first:
// nothing is decided, performed or said before all last facts, one's own among them, have been
// read. Who stands by hears everything and says nothing; when its term begins it reads to the end
// of what is there by then, decides about everything once, and acts from there on. What it asked
// for in a term before the last is nothing to go by: such a store is put aside, and all is read
// from the bus. One thread calls start() and step(); observe() and wake() may be called from any.
#pragma once
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agents/bus/bus.h"
#include "agents/runtime/agent.h"
#include "agents/runtime/lease.h"
#include "agents/runtime/records.h"
#include "agents/runtime/relay.h"
#include "agents/runtime/vitals.h"
#include "schemas/base/clock.h"
#include "state/store.h"

namespace kairo::runtime {
constexpr const char* record_format = "3";  // of what the store holds
// Said when a store of another format is emptied.
std::string foreign_text(const std::string& format);
constexpr std::size_t facts_per_batch = 256;
constexpr std::int64_t keep_gone_ms = 3600 * 1000;  // longer than a message can come late, or
                                                    // a bus that lost it waits to hear it again

class Loop {
 public:
  struct Deps {
    std::string agent;  // "launcher": names the dead-letter subject and the log lines
    bus::Bus& bus;
    state::Store& store;
    Relay& relay;
    const Clock& clock;
    Role role;
    std::string self{};                  // View::self
    std::function<bool()> may_decide{};  // false: its sources have not listed yet
    Vitals* vitals = nullptr;            // told of "bus" and "store"
    const Tenure* tenure = nullptr;      // null: it is alone and acts
    std::function<bool()> is_warm{};     // false: its sources would have to list to take over
  };
  explicit Loop(Deps deps) : deps_(std::move(deps)) {}
  Status start();  // reads the store. corrupt: stop
  // One round: at most facts_per_batch facts, due timers. Waits at most `wait` for a fact.
  Status step(std::chrono::milliseconds wait);
  // A fact from inside this process (a sensor, a failed effect). It gets its version here.
  // publish: tell the others too.
  void observe(wire::FactT fact, bool publish);
  void wake() { deps_.bus.wake(); }                         // a step() that waits returns
  std::int64_t wake_at_ms() const;                          // the next timer, Unix time; 0 = none
  bool is_acting() const { return stage_ == Stage::acts; }  // it decides
  // It acts, or stands by and knows all that was there.
  bool is_ready() const {
    const bool is_warm = !deps_.is_warm || deps_.is_warm();
    return is_acting() || (stage_ == Stage::hears && is_whole_ && is_warm);
  }
  std::size_t records() const { return records_.size(); }
  std::uint64_t facts() const { return facts_; }
  std::uint64_t decisions() const { return decisions_; }
  std::size_t quarantined() const { return quarantined_.size(); }  // records that do not settle
  // The last fact of a kind about each Workspace, or of each node; nothing before its term has
  // begun and all is read. From any thread.
  std::optional<std::vector<wire::FactT>> last_facts(wire::FactBody kind) const;
  std::optional<wire::NodeT> node(const std::string& name) const;  // as last heard; any thread
  // For tests and `debug`. null: it is not known.
  std::unique_ptr<wire::RecordT> find(const std::string& uid) const { return records_.find(uid); }

 private:
  struct Round;                      // what one step changes, before it is committed
  enum class Stage : std::uint8_t {  // in this order
    hears,                           // stands by
    reads,                           // its term has begun: reads what is there by now
    lists,                           // its sources list the cluster
    reads_on,                        // and what they have said is read too
    acts,
  };
  Status empty_if_foreign();
  Status put_aside();
  Status go_on();
  std::chrono::milliseconds patience(std::chrono::milliseconds wait) const;
  Status hear(Round& round, std::chrono::milliseconds wait);
  void take(Round& round, const wire::FactT& fact, bool is_news);
  void take_node(Round& round, const std::string& name, const wire::NodeT& node);
  bool own_fact(Round& round, wire::FactT fact, bool publish);  // true: it says something new
  Status dead_letter(const bus::Message& message, const Error& why);
  void forget_outdated(Round& round);
  void decide(Round& round);
  void wake_concerned(Round& round);
  void owe_the_rest(Round& round);
  void settle(Round& round, const std::string& uid);
  bool try_to_settle(Round& round, const std::string& uid);
  void note_names(const wire::RecordT& record);
  void wake_namers(Round& round, const wire::RecordT& record) const;
  const wire::RecordT* named(const Round& round, const std::string& ns,
                             const std::string& name) const;
  bool take_up(Round& round, const std::string& uid, Decision decision);  // true: ask again
  void quarantine(Round& round, const std::string& uid);
  const wire::RecordT& peek(const Round& round, const std::string& uid) const;
  wire::RecordT& edit(Round& round, const std::string& uid);
  void republish_if_lost();
  void say_again(Round& round, const wire::RecordT& record);
  void take_owed(Round& round);
  void take_observed(Round& round);
  void sweep(Round& round);
  Status commit(Round& round);
  bool must_outlive(const Round& round) const;
  state::Batch batch_of(Round& round);
  void keep(Round& round);
  void undo(Round& round);
  void account(const std::string& uid, const wire::RecordT& record);
  void account_all();

  Deps deps_;
  mutable std::mutex records_mutex_;  // of the two below: this thread writes, others read
  Records records_;                   // what the store holds
  Nodes nodes_;                       // this round's news included
  std::map<std::string, std::int64_t> gone_nodes_;  // by name: when it was seen gone
  GpusHeld held_;                                   // this round's grants included
  std::map<std::string, std::pair<std::vector<std::string>, std::uint32_t>>
      holders_;                                            // by uid: nodes, GPUs of each
  std::set<std::pair<std::int64_t, std::string>> timers_;  // (wake_at_ms, uid)
  // By uid: to be decided though there is no news, some in each round, so that whoever takes over
  // acts at once. true: its own last words are said again too.
  std::map<std::string, bool> owed_;
  std::set<std::string> quarantined_;
  std::map<std::string, std::set<std::string>> namers_;  // by namespace/name: uids, or more
  std::vector<std::string> done_;                        // outbox keys to erase in the next batch
  std::uint64_t outbox_ = 0, facts_ = 0, decisions_ = 0;
  bus::Cursor cursor_, kept_cursor_;  // as far as all is committed; as the store has it
  std::atomic<Stage> stage_{Stage::hears};
  std::uint64_t term_ = 0, kept_term_ = 0;  // that it acts in; the last that the store has seen
  bool is_whole_ = false;                   // all that was there at the start has been heard
  bool knows_its_word_ = true;              // what its role said last: nobody else has acted since
  std::vector<std::string> aside_;  // keys that the store holds of another time; erased first
  std::string incarnation_;         // "" = none yet: a new process says all again
  std::int64_t said_all_ms_ = 0;    // monotonic
  std::int64_t decided_ms_ = 0;     // Unix time of the last round that decided
  std::int64_t incarnation_checked_ms_ = -1'000'000, swept_ms_ = 0;
  // Unix time from which on what is gone is kept for keep_gone_ms; how far the wall clock was ahead
  // of the monotonic one when it was looked at last (none: it is counted anew).
  std::int64_t keep_since_ms_ = 0;
  std::optional<std::int64_t> clock_ahead_ms_;
  mutable std::mutex observed_mutex_;
  std::deque<std::pair<wire::FactT, bool>> observed_;
};
}  // namespace kairo::runtime
