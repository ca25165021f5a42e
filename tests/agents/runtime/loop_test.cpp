// What this proves: the order decide -> commit -> effect keeps every promise of loop.h and
// relay.h: nothing that was read is lost, nothing is decided twice, failures are told and retried.
#include "agents/runtime/loop.h"

#include <doctest/doctest.h>

#include "agents/launcher/decide.h"
#include "tests/support/loop_world.h"

using namespace kairo;
using namespace kairo::test;
using namespace std::chrono_literals;
namespace {
struct World : LoopWorld {  // a launcher
  World() : LoopWorld({launcher::decide, {wire::FactBody::Run}}) {}
};
}  // namespace

TEST_CASE("loop: facts become records, commands and facts") {
  World w;
  w.say(tuning(1));
  w.say(ready(1));
  w.settle();
  CHECK(w.facts("run").size() == 1);
  CHECK(w.effects.done.empty());
  w.say(run_dir(1));
  w.settle();
  CHECK(w.effects.done == std::vector<std::string>{"w-u1 ApplyTuning"});
  CHECK(w.store.scan("outbox/", "", 10).value().empty());  // done rows are erased
}
TEST_CASE("loop: order, repeats and restarts change nothing") {
  World w;
  w.say(run_dir(1));  // early
  w.settle();
  w.say(ready(1));
  w.restart();
  w.say(tuning(1));
  w.settle();
  w.restart();
  w.settle();
  w.say(tuning(1));
  w.settle();
  CAPTURE(w.effects.done.size());
  CHECK(w.effects.done == std::vector<std::string>{"w-u1 ApplyTuning"});
  CHECK(w.facts("run").size() == 1);
}
TEST_CASE("loop: a crash between commit and effect loses no effect") {
  World w;
  w.say(tuning(1));
  w.say(ready(1));
  w.settle();
  w.say(run_dir(1));
  REQUIRE(w.loop->step(0ms).ok());  // decided and committed; the relay has not run
  CHECK(w.effects.done.empty());
  w.restart();
  w.settle();
  CHECK(w.effects.done == std::vector<std::string>{"w-u1 ApplyTuning"});
}
TEST_CASE("loop: a crash between effect and erasure repeats the effect") {
  World w;
  w.say(tuning(1));
  w.say(ready(1));
  w.settle();
  w.say(run_dir(1));
  REQUIRE(w.loop->step(0ms).ok());
  while (w.relay->step()) {
  }
  w.restart();
  w.settle();
  CHECK(w.effects.done.size() == 2);  // twice: effects are idempotent
}
TEST_CASE("loop: a machine without power loses no intent, and reads the rest again") {
  World w;
  w.say(tuning(1));
  w.say(ready(1));
  w.settle();
  w.say(run_dir(1));
  REQUIRE(w.loop->step(0ms).ok());  // the Job is asked for; the relay has not run
  w.store.inner.lose_power();
  w.restart();
  w.settle();
  CHECK(w.effects.done == std::vector<std::string>{"w-u1 ApplyTuning"});
  w.say(job(2));
  w.settle();  // heard, and nothing follows from it
  REQUIRE(w.loop->find("u1")->job != nullptr);
  const auto said = w.facts("run");
  w.store.inner.lose_power();
  w.restart();
  CHECK(w.loop->find("u1")->job == nullptr);
  w.settle();
  CHECK(w.loop->find("u1")->job->version == 2);
  CHECK(w.facts("run") == said);
  CHECK(w.effects.done.size() == 2);  // that it was done was not on disk: effects are idempotent
}
TEST_CASE("loop: what nobody else can say again outlives the machine") {
  runtime::Role role{launcher::decide};
  role.keeps_what_it_hears = true;
  LoopWorld w(role);
  w.say(tuning(1));
  REQUIRE(w.loop->step(0ms).ok());
  w.settle();
  w.say(job(2));
  REQUIRE(w.loop->step(0ms).ok());
  w.store.inner.lose_power();
  w.restart();
  CHECK(w.loop->find("u1")->job->version == 2);
}
TEST_CASE("loop: a full disk stops intake; when there is room the same is read again at once") {
  World w;
  w.say(tuning(1));
  w.say(ready(1));
  w.store.full = true;
  CHECK_FALSE(w.loop->step(0ms).ok());
  w.settle();
  CHECK(w.facts("run").empty());
  w.store.full = false;
  w.settle();
  CHECK(w.facts("run").size() == 1);
}
TEST_CASE("loop: an empty store is made good from the bus; nothing that was said is unsaid") {
  World w;
  w.say(tuning(1));
  w.say(ready(1));
  w.say(run_dir(1));
  w.settle();
  const auto said = w.facts("run");
  w.say(job(2));
  w.say(ready(2));
  w.store.inner.wipe();
  w.clock.jump(-3'600'000);  // and on a machine that is an hour behind
  w.restart();
  w.settle();
  CHECK(w.facts("run") == said);
  CHECK(w.loop->find("u1") != nullptr);
  CHECK(w.effects.done == std::vector<std::string>{"w-u1 ApplyTuning"});  // the Job is seen
  w.say(tuning(3, "rev2"));
  w.say(ready(3, "rev2"));
  w.settle();
  REQUIRE(w.facts("run").size() == 1);
  CHECK(w.facts("run") != said);  // and what is new is newer
  CHECK(w.loop->find("u1")->run->version > 1'764'000'000'000);
}
TEST_CASE("loop: an older store says and does nothing that is out of date") {
  World w;
  w.say(tuning(1));
  w.say(ready(1));
  REQUIRE(w.loop->step(0ms).ok());  // its first word about the run waits in the outbox
  const auto older = w.store.inner.scan("", "", 1000).value();
  w.settle();
  w.say(tuning(2, "rev2"));
  w.say(ready(2, "rev2"));
  w.settle();
  const auto said = w.facts("run");
  w.store.inner.wipe();
  state::Batch batch;
  for (const auto& [key, value] : older) batch.put(key, value);
  REQUIRE(w.store.inner.commit(batch).ok());
  w.restart();
  CHECK_FALSE(w.relay->step());  // nothing before the bus has been read
  w.settle();
  CHECK(w.facts("run") == said);
  CHECK(w.store.inner.scan("outbox/", "", 10).value().empty());
}
TEST_CASE("loop: bytes that nobody can read go to the dead letters") {
  World w;
  REQUIRE(w.outside.publish({"kairo.facts.job.d.w.u", "bad/1", "these are no facts"}).ok());
  w.say(tuning(1));
  w.settle();
  CHECK(w.broker.stored("kairo.dead.launcher").size() == 1);
  CHECK(w.loop->records() == 1);
}
TEST_CASE("loop: a fact without a body is unreadable; a dead letter fits the bus") {
  World w;
  flatbuffers::FlatBufferBuilder builder;  // a union's type without its value, as nobody packs it
  const auto uid = builder.CreateString("u1");
  const auto start = builder.StartTable();
  builder.AddOffset(wire::Fact::VT_UID, uid);
  builder.AddElement<std::uint8_t>(wire::Fact::VT_BODY_TYPE,
                                   static_cast<std::uint8_t>(wire::FactBody::Job), 0);
  builder.Finish(flatbuffers::Offset<wire::Fact>(builder.EndTable(start)), wire::FactIdentifier());
  const std::string bytes(reinterpret_cast<const char*>(builder.GetBufferPointer()),
                          builder.GetSize());
  const auto dead = [&](const std::string& id, const std::string& message) {
    REQUIRE(w.outside.publish({"kairo.facts.job.d.w.u1", id, message}).ok());
    w.settle();
    const auto letters = w.broker.stored("kairo.dead.launcher");  // the last one of a subject
    return letters.empty() ? "" : letters.back().id;
  };
  CHECK(dead("bad/1", bytes) == "dead/launcher/bad/1");
  CHECK(dead("bad/2", std::string(bus::message_bytes_max - 100, 'x')) == "dead/launcher/bad/2");
  CHECK(w.loop->records() == 0);
}
TEST_CASE("relay: an exception of a library is a failure that is told and tried again") {
  World w;
  w.say(tuning(1));
  w.say(ready(1));
  w.say(run_dir(1));
  w.effects.throws = true;
  w.settle();
  CHECK(w.loop->find("u1")->run->message == "internal error: basic_string::substr");
  w.effects.throws = false;
  w.clock.advance(runtime::backoff_ms(1));
  w.settle();
  CHECK(w.loop->find("u1")->run->message.empty());
}
TEST_CASE("relay: a final refusal is told before its row is done") {
  World w;
  w.say(tuning(1));
  w.say(ready(1));
  w.say(run_dir(1));
  REQUIRE(w.loop->step(0ms).ok());
  bool was_done = false, was_told = false;
  runtime::Relay relay({*w.bus, w.effects, w.clock, [&](const wire::FactT&) {
                          was_told = true;
                          was_done = !relay.take_done().empty();
                        }});
  REQUIRE(relay.load(w.store).ok());
  relay.open();
  w.effects.answer = Error{Code::invalid, "no"};
  while (relay.step() && !was_told) {
  }
  CHECK(was_told);
  CHECK_FALSE(was_done);
}
TEST_CASE("relay: unavailable is tried again with backoff and told; success clears it") {
  World w;
  w.say(tuning(1));
  w.say(ready(1));
  w.say(run_dir(1));
  w.effects.answer = Error{Code::unavailable, "apiserver down"};
  w.settle();
  CHECK(w.effects.done.size() == 1);
  CHECK(w.loop->find("u1")->trouble->what == "apiserver down");
  CHECK(w.loop->find("u1")->run->message == "apiserver down");
  w.clock.advance(runtime::backoff_ms(1));
  w.settle();
  CHECK(w.effects.done.size() == 2);
  w.effects.answer = ok();
  w.clock.advance(runtime::backoff_ms(2));
  w.settle();
  CHECK(w.effects.done.size() == 3);
  CHECK(w.loop->find("u1")->trouble->what.empty());
  CHECK(w.loop->find("u1")->run->message.empty());
  w.say(job(2));
  w.clock.advance(60'000);
  w.settle();
  CHECK(w.effects.done.size() == 3);
}
TEST_CASE(
    "launcher: a removal that waits for a Job's end goes on when that is seen, whatever its "
    "backoff") {
  World w;
  w.say(tuning(1));
  w.say(ready(1));
  w.say(run_dir(1));
  w.say(job(2));
  w.settle();
  w.effects.answer = Error{Code::unavailable, "Job w is still ending"};
  w.say(leaving(tuning(3)));
  w.settle();
  for (std::uint32_t attempt = 1; attempt < 8; ++attempt) {
    w.clock.advance(runtime::backoff_ms(attempt));
    w.settle();
  }
  w.effects.answer = ok();
  wire::JobT gone = job(4);
  gone.exists = false;
  const std::size_t before = w.effects.done.size();
  w.say(gone);
  w.settle();
  CHECK(w.effects.done.size() > before);
}
TEST_CASE("launcher: a Job that was made and taken away unseen is asked for again") {
  World w;
  w.say(tuning(1));
  w.say(ready(1));
  w.say(run_dir(1));
  w.settle();
  CHECK(w.effects.done.size() == 1);
  w.clock.advance(29'000);
  w.settle();
  CHECK(w.effects.done.size() == 1);
  w.clock.jump(-3'600'000);  // who set the clock must not make it wait for the old time
  w.settle();
  CHECK(w.effects.done.size() == 2);
  w.clock.advance(31'000);
  w.settle();
  CHECK(w.effects.done.size() == 3);
}
TEST_CASE("loop: what another version has stored is not read; the bus makes it good") {
  World w;
  w.say(tuning(1));
  w.settle();
  state::Batch older;
  older.put("meta/format", "1");
  older.put("record/u1", "of another schema");
  older.put("outbox/00000000000000000001", "of another schema");
  REQUIRE(w.store.commit(older).ok());
  w.restart();
  w.settle();
  REQUIRE(w.loop->find("u1") != nullptr);
  CHECK(w.loop->find("u1")->workspace->version == 1);
}
TEST_CASE("relay: one Workspace's trouble holds up nobody else") {
  World w;
  w.effects.answer = Error{Code::unavailable, "x"};
  w.say(tuning(1));
  w.say(ready(1));
  w.say(run_dir(1));
  w.settle();
  w.effects.answer = ok();
  w.say(tuning(1), "u2");
  w.say(ready(1), "u2");
  w.say(run_dir(1), "u2");
  w.settle();
  CHECK(w.effects.done.back() == "w-u2 ApplyTuning");
}
TEST_CASE("relay: backoff doubles to its bound") {
  CHECK(runtime::backoff_ms(1) == 200);
  CHECK(runtime::backoff_ms(2) == 400);
  CHECK(runtime::backoff_ms(8) == 25'600);
  CHECK(runtime::backoff_ms(9) == 30'000);
  CHECK(runtime::backoff_ms(4'000'000) == 30'000);
}
TEST_CASE("loop: when the bus lost its store, last words are said again") {
  World w;
  w.say(tuning(1));
  w.say(ready(1));
  w.settle();
  REQUIRE(w.facts("run").size() == 1);
  w.broker.wipe();
  CHECK(w.facts("run").empty());
  w.clock.advance(3000);
  w.settle();
  CHECK(w.facts("run").size() == 1);
}
TEST_CASE("loop: last words are said again before the bus outlives them") {
  World w;
  w.say(tuning(1));
  w.say(ready(1));
  w.settle();
  const auto said = w.relay->performed();
  w.clock.advance(11 * 3600 * 1000);
  w.settle();
  CHECK(w.relay->performed() == said);
  w.clock.advance(2 * 3600 * 1000);
  w.settle();
  CHECK(w.relay->performed() == said + 1);
}
TEST_CASE("loop: a Workspace that is gone is forgotten after a while") {
  World w;
  wire::WorkspaceT gone = tuning(5);
  gone.exists = false;
  w.say(tuning(1));
  w.settle();
  w.say(std::move(gone));
  w.settle();
  CHECK(w.loop->records() == 1);  // kept against late facts
  w.clock.advance(runtime::keep_gone_ms + 120'000);
  w.settle();
  CHECK(w.loop->records() == 0);
}
