// What this proves: who stands by hears everything and does nothing; who may act reads to the end
// first, then acts as one that has always acted; who is not sure of its term does nothing.
#include <doctest/doctest.h>

#include "agents/launcher/decide.h"
#include "tests/support/loop_world.h"

using namespace kairo;
using namespace kairo::test;
using namespace std::chrono_literals;
namespace {
struct SetLease : runtime::Lease {
  std::uint64_t now = 0, others = 0;  // its term, or 0 and another's
  bool is_silent = false;
  Result<runtime::Claim> claim() override {
    if (is_silent) return Error{Code::unavailable, "no answer"};
    return runtime::Claim{now != 0, now != 0 ? now : others};
  }
  Status release() override {
    now = 0;
    return ok();
  }
  std::int64_t trusted_ms() const override { return runtime::lease_trust_ms; }
};
struct Standby : SetLease, LoopWorld {  // a launcher with a lease
  explicit Standby(std::uint64_t first)
      : SetLease(of(first)), LoopWorld({launcher::decide, {wire::FactBody::Run}}, this) {}
  static SetLease of(std::uint64_t first) {
    SetLease out;
    out.now = first;
    out.others = first == 0 ? 1 : 0;
    return out;
  }
  void term(std::uint64_t term) {
    now = term;
    REQUIRE(tenure->tend().ok());
  }
  // Up to the Job, which is asked for and not yet performed.
  void ask_for_job() {
    say(tuning(1));
    say(ready(1));
    settle();
    say(run_dir(1));
    REQUIRE(loop->step(0ms).ok());
    REQUIRE(relay->due_in_ms() == 0);
  }
  std::size_t kept(const std::string& prefix) const {
    return store.inner.scan(prefix, "", 100).value().size();
  }
};
const std::vector<std::string> one_job{"w-u1 ApplyTuning"};
}  // namespace

TEST_CASE("standby: it hears everything, keeps it, and does and says nothing until it may act") {
  Standby w(0);
  w.say(tuning(1));
  w.say(ready(1));
  w.say(run_dir(1));
  REQUIRE(w.outside.publish({"kairo.facts.job.d.w.u", "bad/1", "these are no facts"}).ok());
  CHECK_FALSE(w.loop->is_ready());
  w.settle();
  CHECK(w.loop->is_ready());
  CHECK_FALSE(w.loop->is_acting());
  CHECK(w.loop->records() == 1);
  CHECK(w.kept("record/") == 1);
  CHECK(w.loop->decisions() == 0);
  CHECK(w.effects.done.empty());
  CHECK(w.facts("run").empty());
  CHECK(w.broker.stored("kairo.dead.").empty());
  CHECK_FALSE(w.loop->last_facts(wire::FactBody::Workspace));  // they may be old
  w.term(2);
  w.settle();
  CHECK(w.loop->is_acting());
  CHECK(w.loop->last_facts(wire::FactBody::Workspace)->size() == 1);
  CHECK(w.effects.done == one_job);
  CHECK(w.facts("run").size() == 1);
}
TEST_CASE("standby: who takes over acts before all is decided, and decides it all") {
  constexpr std::size_t many = 600;
  Standby w(0);
  for (std::size_t i = 0; i < many; ++i) {
    const std::string uid = "u" + std::to_string(i);
    w.say(tuning(1), uid);
    w.say(ready(1), uid);
  }
  w.settle();
  REQUIRE(w.loop->records() == many);
  w.term(2);
  while (!w.loop->is_acting()) REQUIRE(w.loop->step(0ms).ok());
  CHECK(w.loop->decisions() < 2 * many);
  w.settle();
  CHECK(w.facts("run").size() == many);
}
TEST_CASE("standby: what another has said counts, whatever its clock; it is not said again") {
  Standby w(0);
  w.say(tuning(1));
  w.say(ready(1));
  w.say(planned(7));
  w.settle();
  w.say(planned(5));  // its clock was set back
  w.settle();
  CHECK(w.loop->find("u1")->run->version == 5);
  const auto there = w.facts("run");
  w.term(2);
  w.settle();
  CHECK(w.facts("run") == there);
}
TEST_CASE("standby: what was said until its term begins is read before it decides") {
  Standby w(0);
  w.settle();
  w.say(tuning(1));
  w.say(ready(1));
  w.say(run_dir(1));
  w.say(planned(3));
  w.say(job(2));
  w.term(4);
  w.settle();
  CHECK(w.loop->is_acting());
  CHECK(w.loop->find("u1")->run->version == 3);
  CHECK(w.effects.done.empty());  // the Job is there
}
TEST_CASE("standby: who is not sure of its term does nothing; once it is sure again it goes on") {
  Standby w(1);
  w.ask_for_job();
  w.clock.advance(runtime::lease_trust_ms);  // it was paused
  CHECK(w.relay->due_in_ms() == -1);
  w.settle();
  CHECK(w.effects.done.empty());
  w.is_silent = true;  // and then the API server does not answer
  CHECK_FALSE(w.tenure->tend().ok());
  w.settle();
  CHECK(w.effects.done.empty());
  CHECK_FALSE(w.tenure->is_lost());
  w.is_silent = false;
  w.term(1);
  w.settle();
  CHECK(w.effects.done == one_job);
}
TEST_CASE("standby: who has lost its term does nothing any more, and asks for no other") {
  for (const std::uint64_t next : {0, 3}) {
    CAPTURE(next);
    Standby w(1);
    w.ask_for_job();
    w.term(next);
    CHECK(w.tenure->is_lost());
    w.now = 1;
    REQUIRE(w.tenure->tend().ok());
    CHECK(w.tenure->is_lost());
    w.settle();
    CHECK(w.effects.done.empty());
  }
}
TEST_CASE("standby: a clean end gives the lease back and nothing is done after it") {
  Standby w(1);
  w.ask_for_job();
  w.tenure->end();
  CHECK(w.now == 0);
  CHECK_FALSE(w.tenure->is_lost());
  w.settle();
  CHECK(w.effects.done.empty());
}
TEST_CASE("standby: a store counts when nobody has acted since its own process, else it is none") {
  struct Row {
    const char* what;
    std::uint64_t now, others;  // terms, when it starts; 0, 0: the lease cannot be read
    std::uint64_t later;        // its own
    std::size_t done;           // of what it had asked for
  };
  const Row rows[] = {
      {"it acts again at once", 2, 0, 2, 1},
      {"the lease of its process before runs out first", 0, 1, 2, 1},
      {"the API server does not answer at first", 0, 0, 2, 1},
      {"another has acted in between", 3, 0, 3, 0},
      {"another acts, then it", 0, 2, 3, 0},
      {"another is quicker to see that the lease has run out", 0, 1, 3, 0},
      {"somebody has deleted the lease", 1, 0, 1, 0},
  };
  for (const Row& row : rows) {
    CAPTURE(std::string(row.what));
    Standby w(1);
    w.ask_for_job();
    if (row.done == 0) w.say(job(2));  // what the other has done
    w.now = row.now;
    w.others = row.others;
    w.is_silent = row.now + row.others == 0;
    w.restart();
    REQUIRE(w.loop->step(0ms).ok());
    w.is_silent = false;
    w.settle();
    w.term(row.later);
    w.settle();
    CHECK(w.loop->is_acting());
    CHECK(w.effects.done.size() == row.done);
    CHECK(w.kept("outbox/") == 0);
    CHECK(w.kept("record/") == 1);
    CHECK(w.loop->find("u1")->run->planned);
    CHECK(w.facts("run").size() == 1);
  }
}
TEST_CASE("standby: who cannot tell whether another has acted asks for everything anew") {
  Standby w(1);
  w.ask_for_job();
  w.now = 2;
  w.store.full = true;  // nothing is kept of this one
  w.restart();
  (void)w.loop->step(0ms);
  w.store.full = false;
  w.now = 3;  // somebody may have acted in between: what was asked for is asked for anew
  w.restart();
  w.settle();
  CHECK(w.effects.done == one_job);
  CHECK(w.kept("outbox/") == 0);
}
