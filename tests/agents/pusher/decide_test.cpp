// What this proves: an adapter is pushed once per revision; failures are told and tried again.
#include "agents/pusher/decide.h"

#include <doctest/doctest.h>

#include "tests/support/facts.h"

using namespace kairo;
using namespace kairo::test;
namespace {
wire::TroubleT trouble(Code code, std::uint64_t version, std::uint32_t attempt) {
  wire::TroubleT t;
  t.version = version;
  t.command = "PushImage";
  t.revision = "rev1";
  t.code = static_cast<std::uint8_t>(code);
  t.what = "no";
  t.at_ms = static_cast<std::int64_t>(version);
  t.attempt = attempt;
  return t;
}
const runtime::Nodes no_nodes;
}  // namespace

TEST_CASE("pusher: one record, one step") {
  struct Row {
    std::string name;
    wire::RecordT record;
    std::string commands;
  };
  wire::ArtifactT broken = artifact(1);
  broken.problem = "no adapter";
  wire::ArtifactT elsewhere = artifact(1);
  elsewhere.node = "n2";
  wire::WorkspaceT to_volume = tuning(1);
  to_volume.tuning->output->image.clear();
  to_volume.tuning->output->volume = "{}";
  const Row rows[] = {
      {"no artifact", record(tuning(1)), ""},
      {"artifact before its workspace", record(artifact(1)), ""},
      {"artifact of an older revision", record(tuning(2, "rev2"), artifact(1)), ""},
      {"a run without adapter", record(tuning(1), std::move(broken)), ""},
      {"output is a volume", record(std::move(to_volume), artifact(1)), ""},
      {"push", record(tuning(1), artifact(1)), "PushImage Publish:push"},
      {"another node has it", record(tuning(1), std::move(elsewhere)), ""},
      {"asked for", marked(record(tuning(1), artifact(1)), "push", "rev1/0"), "Publish:push"},
      {"pushed", record(tuning(1), artifact(1), pushed(1)), ""},
      {"leaving", record(leaving(tuning(1)), artifact(1)), ""},
      {"registry down: told",
       marked(record(tuning(1), artifact(1), trouble(Code::unavailable, 1, 3)), "push", "rev1/0"),
       "Publish:push"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(kinds(pusher::decide(row.record, {no_nodes, 1000, "", "n1"})) == row.commands);
  }
}

TEST_CASE("pusher: a Secret that lacks is said while it trains, and taken back when it is there") {
  const auto trains = training(wire::RunPhase::Training, 3);
  const auto first = pusher::decide(record(tuning(1), trains), {no_nodes, 1000, "", "n1"});
  CHECK(kinds(first) == "CheckPush");
  const auto asked = marked(record(tuning(1), trains), "check push", "rev1");
  CHECK(kinds(pusher::decide(asked, {no_nodes, 1000, "", "n1"})).empty());

  wire::TroubleT lacks = trouble(Code::not_found, 1, 1);
  lacks.command = "CheckPush";
  const auto with = [&](auto... more) {
    return marked(record(tuning(1), trains, std::move(more)...), "check push", "rev1");
  };
  const auto told = pusher::decide(with(wire::TroubleT(lacks)), {no_nodes, 1000, "", "n1"});
  REQUIRE(kinds(told) == "Publish:push");
  const auto* push = told.commands[0].body.AsPublish()->fact->body.AsPush();
  CHECK(push->state == wire::PushState::Waiting);
  CHECK(push->reason == "PushSecretNotFound");

  wire::PushT waiting = *push;
  waiting.version = 2;
  const auto back = pusher::decide(with(wire::PushT(waiting)), {no_nodes, 1000, "", "n1"});
  REQUIRE(kinds(back) == "Publish:push");
  CHECK(back.commands[0].body.AsPublish()->fact->body.AsPush()->state == wire::PushState::Idle);
  CHECK(kinds(pusher::decide(with(std::move(waiting), artifact(1)), {no_nodes, 1000, "", "n1"})) ==
        "PushImage");
  CHECK(kinds(pusher::decide(record(tuning(1), trains), {no_nodes, 1000, "", "n2"})).empty());
}

TEST_CASE("pusher: a refusal is told, and tried again after a while") {
  const auto r =
      marked(record(tuning(1), artifact(1), trouble(Code::invalid, 10'000, 1)), "push", "rev1/0");
  const auto early = pusher::decide(r, {no_nodes, 24'999, "", "n1"});
  REQUIRE(kinds(early) == "Publish:push");
  const auto* told = early.commands[0].body.AsPublish()->fact->body.AsPush();
  CHECK(told->state == wire::PushState::Waiting);
  CHECK(told->reason == "PushRefused");
  CHECK(early.wake_at_ms == 25'000);
  const auto late = pusher::decide(r, {no_nodes, 25'000, "", "n1"});
  CHECK(kinds(late).starts_with("PushImage"));
  // A clock that was set back must not make the push wait for the old time.
  CHECK(kinds(pusher::decide(r, {no_nodes, 9'000, "", "n1"})).starts_with("PushImage"));
}

TEST_CASE("pusher: what is queued for a Workspace that leaves or is gone is forgotten") {
  for (const auto& w : {leaving(tuning(2)), gone(tuning(2))}) {
    const auto r = marked(record(wire::WorkspaceT(w), artifact(1)), "push", "rev1/0");
    const auto d = pusher::decide(r, {no_nodes, 1000, "", "n1"});
    CHECK(d.cancel_effects);
    CHECK(kinds(d).empty());
  }
  CHECK_FALSE(pusher::decide(record(artifact(1)), {no_nodes, 1000, "", "n1"}).cancel_effects);
}

TEST_CASE("pusher: what was removed from here is not pushed; trained anew, it is") {
  wire::ArtifactT nothing;
  nothing.version = 2;
  nothing.node = "n1";
  wire::RecordT r = marked(record(tuning(1), std::move(nothing)), "push", "rev1/0");
  const runtime::Decision gone = pusher::decide(r, {no_nodes, 1000, "", "n1"});
  CHECK(gone.cancel_effects);
  CHECK(kinds(gone) == "");
  REQUIRE(gone.marks.size() == 1);
  r.marks.clear();
  CHECK_FALSE(pusher::decide(r, {no_nodes, 1000, "", "n1"}).cancel_effects);  // once
  r = marked(record(tuning(1), artifact(3)), "push", gone.marks[0].value);
  CHECK(kinds(pusher::decide(r, {no_nodes, 1000, "", "n1"})) == "PushImage Publish:push");
}
