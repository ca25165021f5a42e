// What this proves: a round holds only so many records as objects; thousands whose time has come at
// once are decided in the rounds that follow, each of them once, and news is never among the late.
#include <doctest/doctest.h>

#include "tests/support/loop_world.h"

using namespace kairo;
using namespace kairo::test;
using namespace std::chrono_literals;
namespace {
constexpr std::int64_t due_ms = 60'000;   // after it was heard of
std::map<std::string, int> decisions_of;  // uid -> how many
std::int64_t began_ms = 0;

// Each waits for one and the same moment.
runtime::Decision wait_for_it(const wire::RecordT& record, const runtime::View& view) {
  ++decisions_of[record.uid];
  runtime::Decision d;
  if (view.now_ms < began_ms + due_ms) d.wake_at_ms = began_ms + due_ms;
  return d;
}
bool by_every_node(const wire::RecordT&, const std::string&, const wire::NodeT*,
                   const wire::NodeT&) {
  return true;
}
// After 1,300 Workspaces have been decided on for the first time.
void begin(LoopWorld& w) {
  began_ms = w.clock.now_ms();
  for (int i = 0; i < 1'300; ++i) w.say(tuning(1), "u" + std::to_string(i));
  w.settle();
  REQUIRE(w.loop->records() == 1'300);
  decisions_of.clear();
}
std::size_t decided_in_a_round(LoopWorld& w) {
  const std::size_t before = decisions_of.size();
  REQUIRE(w.loop->step(0ms).ok());
  return decisions_of.size() - before;
}
bool was_each_decided_once() {
  return decisions_of.size() == 1'300 &&
         std::all_of(decisions_of.begin(), decisions_of.end(),
                     [](const auto& one) { return one.second == 1; });
}
}  // namespace

TEST_CASE("loop: those whose time has come at once are decided 512 in a round, each once") {
  LoopWorld w({wait_for_it, {}});
  begin(w);
  w.clock.advance(due_ms);
  CHECK(decided_in_a_round(w) == 512);
  CHECK(w.loop->step(0ms).ok());
  CHECK(w.loop->step(0ms).ok());
  w.settle();
  CHECK(was_each_decided_once());
}
TEST_CASE("loop: whom a node concerns is decided 512 in a round, each once") {
  LoopWorld w({wait_for_it, {}, by_every_node});
  begin(w);
  w.say_node("n1", node(1));
  CHECK(decided_in_a_round(w) == 512);
  w.settle();
  CHECK(was_each_decided_once());
}
TEST_CASE("loop: of whom there is news is decided in the round that hears it") {
  LoopWorld w({wait_for_it, {}});
  begin(w);
  w.clock.advance(due_ms);
  w.say(tuning(2), "u999");  // the last of all by its name
  CHECK(decided_in_a_round(w) == 512);
  CHECK(decisions_of["u999"] == 1);
}
TEST_CASE("loop: a process that is killed between the rounds leaves nobody undecided") {
  LoopWorld w({wait_for_it, {}});
  begin(w);
  w.clock.advance(due_ms);
  CHECK(decided_in_a_round(w) == 512);
  w.restart();
  w.settle();
  CHECK(decisions_of.size() == 1'300);
}
