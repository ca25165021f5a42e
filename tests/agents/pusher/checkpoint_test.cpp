// What this proves: a checkpoint is pushed where a node may go, by rhythm and when it is about to
// go, never in the adapter's way; and it is taken away when it is of no use.
#include "agents/pusher/checkpoint.h"

#include <doctest/doctest.h>

#include "agents/pusher/decide.h"
#include "tests/support/facts.h"

using namespace kairo;
using namespace kairo::test;
namespace {
constexpr std::int64_t now = 1'764'000'000'000, minute = 60'000;

wire::WorkspaceT kept(wire::WorkspaceT w, const std::string& word = "true") {
  w.annotations.push_back(label("kairo.dev/keep-checkpoints", word));
  return w;
}
wire::RecordT asked(wire::RecordT r, std::int64_t ago_ms,
                    const std::string& run = "rev1/n1/uid-n1/") {
  wire::MarkT mark;
  mark.key = "checkpoint";
  mark.value = run;
  mark.at_ms = now - ago_ms;
  runtime::set_mark(r, std::move(mark));
  return marked(std::move(r), "check push", "rev1");
}
template <class... More>
wire::RecordT runs(wire::WorkspaceT w, wire::TrainingT t, More... more) {
  return marked(record(std::move(w), planned(1), run_dir(1), std::move(t), std::move(more)...),
                "check push", "rev1");
}
wire::NodeClaimT claim_on_n1(bool deleting) {
  wire::NodeClaimT x;
  x.version = 1;
  x.exists = true;
  x.kind = "NodeClaim";
  x.name = "c";
  x.uid = "claim-1";
  x.node = "n1";
  x.deleting = deleting;
  return x;
}
wire::NodeT spot() {
  wire::NodeT n = node(1);
  n.labels.push_back(label("karpenter.sh/capacity-type", "spot"));
  return n;
}
}  // namespace

TEST_CASE("checkpoint: pushed where it is wished for, and where a node may be taken away") {
  const auto trains = [] { return training(wire::RunPhase::Training, 12); };
  wire::WorkspaceT to_volume = kept(tuning(1));
  to_volume.tuning->output->image.clear();
  wire::RunT elsewhere = planned(1);
  elsewhere.node = "n2";
  struct Row {
    const char* name;
    wire::RecordT record;
    wire::NodeT here;
    std::string commands;
  };
  Row rows[] = {
      {"a node that stays", runs(tuning(1), trains()), node(1), ""},
      {"a spot node", runs(tuning(1), trains()), spot(), "PushCheckpoint"},
      {"a spot node, and the user says no", runs(kept(tuning(1), "false"), trains()), spot(), ""},
      {"the user says yes", runs(kept(tuning(1)), trains()), node(1), "PushCheckpoint"},
      {"what the user says is neither", runs(kept(tuning(1), "si"), trains()), node(1), ""},
      {"the output is a volume: there is no registry", runs(std::move(to_volume), trains()), spot(),
       ""},
      {"no step is done", runs(kept(tuning(1)), training(wire::RunPhase::Loading, 0)), node(1), ""},
      {"the run is another node's by now",
       marked(record(kept(tuning(1)), std::move(elsewhere), run_dir(1), trains()), "check push",
              "rev1"),
       node(1), ""},
      {"no step more than is safe", runs(kept(tuning(1)), trains(), checkpoint(1, 12)), node(1),
       ""},
      {"a step more than is safe", runs(kept(tuning(1)), trains(), checkpoint(1, 11)), node(1),
       "PushCheckpoint"},
      {"what is safe is of an older revision",
       runs(kept(tuning(1)), trains(), checkpoint(1, 40, "n1", "rev0")), node(1), "PushCheckpoint"},
      {"the adapter is there", runs(kept(tuning(1)), trains(), artifact(1)), node(1),
       "PushImage Publish:push"},
      {"the adapter is pushed", runs(kept(tuning(1)), trains(), pushed(1)), node(1), ""},
      {"the adapter is pushed: away with it",
       runs(kept(tuning(1)), trains(), pushed(1), checkpoint(1, 8)), node(1), "DropCheckpoint"},
      {"another node's pusher put it there: away with it",
       runs(kept(tuning(1)), trains(), pushed(1), checkpoint(1, 8, "lost")), node(1),
       "DropCheckpoint"},
  };
  for (Row& row : rows) {
    CAPTURE(std::string(row.name));
    runtime::Nodes nodes;
    nodes.emplace("n1", std::move(row.here));
    CHECK(kinds(pusher::decide(row.record, {nodes, now, "", "n1"})) == row.commands);
  }
}

TEST_CASE("checkpoint: once in five minutes, and at once when the node or the run is about to go") {
  const runtime::Nodes nodes;
  const auto decided = [&](const wire::RecordT& r) {
    return pusher::decide(r, {nodes, now, "", "n1"});
  };
  const auto trains = [](auto... more) {
    return runs(kept(tuning(1)), training(wire::RunPhase::Training, 12), std::move(more)...);
  };
  const auto early = decided(asked(trains(), 4 * minute));
  CHECK(kinds(early) == "");
  CHECK(early.wake_at_ms == now + minute);
  const auto due = decided(asked(trains(), 5 * minute));
  CHECK(kinds(due) == "PushCheckpoint");
  CHECK(due.wake_at_ms == now + 5 * minute);
  REQUIRE(due.marks.size() == 1);
  CHECK(due.marks[0].at_ms == now);
  CHECK(kinds(decided(asked(trains(), -minute))) == "PushCheckpoint");  // the clock was set back
  CHECK(kinds(decided(asked(trains(), minute, "rev1/n1/before/"))) == "PushCheckpoint");

  CHECK(kinds(decided(asked(trains(claim_on_n1(false)), minute))) == "");
  auto going = asked(trains(claim_on_n1(true)), minute);
  CHECK(kinds(decided(going)) == "PushCheckpoint");
  going = marked(std::move(going), "checkpoint in a hurry", "rev1/n1/uid-n1/leaving/claim-1");
  CHECK(kinds(decided(going)) == "");  // once
  wire::TrainingT stopped = training(wire::RunPhase::Stopped, 13);
  stopped.progress->attempt = 2;
  going = asked(runs(kept(tuning(1)), wire::TrainingT(stopped), claim_on_n1(true)), minute);
  going = marked(std::move(going), "checkpoint in a hurry", "rev1/n1/uid-n1/leaving/claim-1");
  CHECK(kinds(decided(going)) == "PushCheckpoint");
  going = marked(std::move(going), "checkpoint in a hurry", "rev1/n1/uid-n1/stopped/2/13");
  CHECK(kinds(decided(going)) == "");
}

TEST_CASE("checkpoint: a push that fails is said beside what is safe") {
  wire::TroubleT trouble;
  trouble.version = 1;
  trouble.command = "PushCheckpoint";
  trouble.revision = "rev1";
  trouble.code = static_cast<std::uint8_t>(Code::unavailable);
  trouble.what = "registry away";
  const runtime::Nodes nodes;
  const auto d = pusher::decide(asked(runs(kept(tuning(1)), training(wire::RunPhase::Training, 12),
                                           checkpoint(1, 8), std::move(trouble)),
                                      minute),
                                {nodes, now, "", "n1"});
  REQUIRE(kinds(d) == "Publish:checkpoint");
  const auto* said = d.commands[0].body.AsPublish()->fact->body.AsCheckpoint();
  CHECK(said->step == 8);
  CHECK(said->reason == "CheckpointNotPushed");
  CHECK(said->message == "registry away");
}

TEST_CASE("checkpoint: it goes with its Workspace, once") {
  const runtime::Nodes nodes;
  const auto r = record(leaving(kept(tuning(2))), planned(1), checkpoint(1, 8));
  const auto first = pusher::decide(r, {nodes, now, "", "n1"});
  CHECK(first.cancel_effects);
  REQUIRE(kinds(first) == "DropCheckpoint");
  auto again = marked(marked(r, "leaving", "yes"), "drop checkpoint", first.marks[1].value);
  CHECK(kinds(pusher::decide(again, {nodes, now, "", "n1"})) == "");
  CHECK_FALSE(pusher::decide(again, {nodes, now, "", "n1"}).cancel_effects);
  // A push that is on its way, of which nothing is said yet.
  CHECK(kinds(pusher::decide(asked(record(leaving(kept(tuning(2)))), minute),
                             {nodes, now, "", "n1"})) == "DropCheckpoint");
  // Neither its own, nor on its node.
  CHECK(kinds(pusher::decide(r, {nodes, now, "", "n3"})) == "");
}

TEST_CASE("checkpoint: nodes that may be taken away, by the labels of those who sell them") {
  const auto labelled = [](const std::string& key, const std::string& value) {
    wire::NodeT n = node(1);
    n.labels.push_back(label(key, value));
    return pusher::is_spot(n);
  };
  CHECK(labelled("karpenter.sh/capacity-type", "spot"));
  CHECK_FALSE(labelled("karpenter.sh/capacity-type", "on-demand"));
  CHECK(labelled("kubernetes.azure.com/scalesetpriority", "spot"));
  CHECK(labelled("eks.amazonaws.com/capacityType", "SPOT"));
  CHECK(labelled("cloud.google.com/gke-spot", "true"));
  CHECK(labelled("cloud.google.com/gke-preemptible", "true"));
  CHECK(labelled("node.kubernetes.io/lifecycle", "spot"));
  CHECK_FALSE(pusher::is_spot(node(1)));
}
