// What this proves: news of nodes wakes whom it concerns, costs nothing when there is none, and is
// forgotten after a while; a decision that never settles harms nobody else.
#include <doctest/doctest.h>

#include "tests/support/loop_world.h"

using namespace kairo;
using namespace kairo::test;
using namespace std::chrono_literals;
namespace {
std::map<std::string, int> decided;  // uid -> how often
runtime::Decision count(const wire::RecordT& record, const runtime::View&) {
  ++decided[record.uid];
  return {};
}
// A record is concerned by the node of its own name, when it becomes ready or late.
bool of_its_name(const wire::RecordT& record, const std::string& name, const wire::NodeT* before,
                 const wire::NodeT& after) {
  return record.name == name && (before == nullptr || before->ready != after.ready);
}
// "flip" is said again and again with another text; "tells" says what its trouble is.
runtime::Decision flip(const wire::RecordT& record, const runtime::View&) {
  runtime::Decision d;
  if (!record.workspace) return d;
  wire::RunT run;
  run.planned = true;
  if (record.name == "w-flip") {
    run.revision = std::to_string(record.run ? record.run->version : 1);
    wire::CommandT effect;
    effect.body.Set(wire::SaveRevisionT{});
    d.commands.push_back(std::move(effect));
    d.cancel_effects = true;
  }
  if (record.name == "w-tells") {
    const auto* trouble = runtime::trouble_of(record, "Decision");
    run.message =
        trouble != nullptr ? "left alone" : std::to_string(record.run ? record.run->version : 1);
  }
  runtime::publish(d, record, std::move(run));
  return d;
}
}  // namespace

TEST_CASE("loop: a node's news is decided where it concerns, several of a batch once") {
  LoopWorld w({count, {}, of_its_name});
  w.say(tuning(1), "u1");
  w.say(tuning(1), "u2");
  w.settle();
  decided.clear();
  w.say_node("w-u1", node(1));
  w.say_node("other", node(1));
  w.settle();
  CHECK(decided == std::map<std::string, int>{{"u1", 1}});
  w.say_node("w-u1", node(2));  // as it was
  w.settle();
  CHECK(decided == std::map<std::string, int>{{"u1", 1}});
  w.say_node("w-u1", node(3, false));
  w.settle();
  w.say_node("w-u1", node(2));  // late
  w.settle();
  CHECK(decided == std::map<std::string, int>{{"u1", 2}});
}
TEST_CASE("loop: without a word about it no decision looks at nodes") {
  LoopWorld w({count, {}});
  w.say(tuning(1), "u1");
  w.settle();
  decided.clear();
  w.say_node("w-u1", node(1));
  w.settle();
  CHECK(decided.empty());
}
TEST_CASE("loop: news of a node that could not be kept is news again") {
  LoopWorld w({count, {}, of_its_name});
  w.say(tuning(1), "u1");
  w.say_node("w-u1", node(1));
  w.settle();
  decided.clear();
  w.store.full = true;
  w.say_node("w-u1", node(2, false));
  w.say_node("new", node(1));
  CHECK_FALSE(w.loop->step(0ms).ok());
  CHECK(w.loop->last_facts(wire::FactBody::Node)->size() == 1);
  w.store.full = false;
  decided.clear();
  w.settle();
  CHECK(decided["u1"] > 0);
  CHECK(w.loop->last_facts(wire::FactBody::Node)->size() == 2);
}
TEST_CASE("loop: a node that is gone is forgotten after a while, in the store too") {
  LoopWorld w({count, {}, of_its_name});
  const auto kept = [&] { return w.store.scan("node/", "", 10).value().size(); };
  w.say_node("n1", node(1));
  w.say_node("n2", node(1));
  w.settle();
  w.say_node("n1", gone(node(2)));
  w.settle();
  CHECK(kept() == 2);  // against late facts
  w.clock.advance(runtime::keep_gone_ms / 2);
  w.restart();
  w.settle();
  CHECK(kept() == 2);
  w.clock.advance(runtime::keep_gone_ms + 120'000);
  w.settle();
  CHECK(kept() == 1);
  CHECK(w.loop->last_facts(wire::FactBody::Node)->size() == 1);
}
TEST_CASE("loop: a clock that is set ahead makes nothing forgotten, nor does a bus that lost it") {
  LoopWorld w({count, {}, of_its_name});
  const auto kept = [&] {
    w.settle();
    return w.loop->last_facts(wire::FactBody::Node)->size() + w.loop->records();
  };
  wire::WorkspaceT left = tuning(2);
  left.exists = false;
  w.say(tuning(1), "u1");
  w.say_node("n1", node(1));
  w.settle();
  w.say(std::move(left), "u1");
  w.say_node("n1", gone(node(2)));
  CHECK(kept() == 2);
  w.clock.jump(50 * 3'600'000);  // it is not on the bus by now, and others have not heard of it
  CHECK(kept() == 2);
  w.clock.advance(3'480'000);
  CHECK(kept() == 2);
  w.clock.jump(50 * 3'600'000);
  w.restart();  // before it has looked at the clock
  CHECK(kept() == 2);
  w.clock.advance(3'480'000);
  w.broker.wipe();
  CHECK(kept() == 2);
  w.clock.advance(3'480'000);
  CHECK(kept() == 2);
  w.clock.advance(240'000);
  CHECK(kept() == 0);
}
TEST_CASE("loop: a decision that never settles says and does nothing, and the others go on") {
  LoopWorld w({flip, {wire::FactBody::Run}});
  w.say(tuning(1), "flip");
  w.say(tuning(1), "well");
  w.settle();
  CHECK(w.loop->quarantined() == 1);
  CHECK(w.effects.done.empty());
  REQUIRE(w.facts("run").size() == 1);
  CHECK(w.facts("run")[0].starts_with("run/well/"));
  CHECK(w.store.scan("outbox/", "", 10).value().empty());
  const wire::TroubleT trouble = *w.loop->find("flip")->trouble;
  CHECK(trouble.command == "Decision");
  CHECK(trouble.revision == "rev1");
  CHECK(trouble.what ==
        "the launcher comes to no decision about this Workspace (32 in a row differ): it is left "
        "alone until it changes; please report this");
  const auto decisions = w.loop->decisions();
  w.clock.advance(600'000);
  w.settle();
  CHECK(w.loop->decisions() == decisions);
  w.restart();  // all is decided once more; it is still so
  w.settle();
  CHECK(w.loop->quarantined() == 1);
  CHECK(w.facts("run").size() == 1);
}
TEST_CASE("loop: who does not settle can tell, and is asked again when a fact comes") {
  LoopWorld w({flip, {wire::FactBody::Run}});
  w.say(tuning(1), "tells");
  w.settle();
  CHECK(w.loop->quarantined() == 1);
  REQUIRE(w.loop->find("tells")->run != nullptr);
  CHECK(w.loop->find("tells")->run->message == "left alone");
  CHECK(w.facts("run").size() == 1);
  const auto decisions = w.loop->decisions();
  w.say(tuning(2), "tells");
  w.settle();
  CHECK(w.loop->decisions() == decisions + 32 + 1);
}
