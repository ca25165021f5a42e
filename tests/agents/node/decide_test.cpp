// What this proves: a run directory is made once per wish, checked when its Job is done, and
// removed only when nothing writes there any more.
#include "agents/node/decide.h"

#include <doctest/doctest.h>

#include "agents/node/models_note.h"
#include "tests/support/facts.h"

using namespace kairo;
using namespace kairo::test;
namespace {
template <class Body>
Body in(Body body, const std::string& place) {
  body.place = place;
  return body;
}
wire::RunT to_n2(wire::RunT run) {
  run.node = "n2";
  run.place = "n2/uid-n2";
  return run;
}
}  // namespace

TEST_CASE("node: one record, one step") {
  struct Row {
    std::string name;
    wire::RecordT record;
    std::string commands;
  };
  wire::RunT other = planned(1);
  other.node = "n2";
  const auto gone = [](wire::JobT j) {
    j.exists = false;
    return j;
  };
  const Row rows[] = {
      {"no run", record(tuning(1)), ""},
      {"another node's run", record(tuning(1), std::move(other)), ""},
      {"wanted: prepare", record(tuning(1), planned(1)), "PrepareRun"},
      {"its weights are on their way: nothing more is asked for",
       marked(record(tuning(1), planned(1), run_dir(1, "rev1", wire::RunDirState::Fetching)),
              "prepare", "rev1/1"),
       ""},
      {"asked for", marked(record(tuning(1), planned(1)), "prepare", "rev1/1"), ""},
      {"asked for once, and wished for again",
       marked(record(tuning(1), planned(3), run_dir(2, "rev2")), "prepare", "rev1/1"),
       "PrepareRun"},
      {"ready", record(tuning(1), planned(1), run_dir(1)), ""},
      {"new revision: prepare again", record(tuning(2, "rev2"), planned(2, "rev2"), run_dir(1)),
       "PrepareRun"},
      {"job runs", record(tuning(1), planned(1), run_dir(1), job(1)), ""},
      {"job failed", record(tuning(1), planned(1), run_dir(1), finished(2, 0)), ""},
      {"job done: check", record(tuning(1), planned(1), run_dir(1), finished(2, 1)),
       "CheckArtifact"},
      {"checked", record(tuning(1), planned(1), run_dir(1), finished(2, 1), artifact(1)), ""},
      {"job done in another place of that name: its adapter is not here",
       record(tuning(1), planned(1), run_dir(1), in(finished(2, 1), "n1/older")), ""},
      {"a directory of another place of that name: prepare again",
       record(tuning(1), planned(3), in(run_dir(1), "n1/older")), "PrepareRun"},
      {"an adapter of another place: check",
       record(tuning(1), planned(1), run_dir(1), finished(2, 1), in(artifact(1), "n1/older")),
       "CheckArtifact"},
      {"moved away, but its job still runs here",
       record(tuning(1), to_n2(planned(3)), run_dir(1), in(job(1), "n1/uid-n1")), ""},
      {"moved away: what lies here goes",
       record(tuning(1), to_n2(planned(3)), run_dir(1), in(job(1), "n2/uid-n2")), "RemoveRun"},
      {"moved away and removed",
       record(tuning(1), to_n2(planned(3)), run_dir(1, "rev1", wire::RunDirState::Removed)), ""},
      {"unwanted, but its job runs", record(leaving(tuning(1)), planned(2, "rev1", false), job(1)),
       ""},
      {"unwanted: remove",
       record(leaving(tuning(1)), planned(2, "rev1", false), gone(job(3)), run_dir(1)),
       "RemoveRun"},
      {"removed",
       record(leaving(tuning(1)), planned(2, "rev1", false),
              run_dir(2, "rev1", wire::RunDirState::Removed)),
       ""},
  };
  const runtime::Nodes nodes;
  const auto check = node::decide(record(tuning(1), planned(1), run_dir(1), gone(finished(3, 1))),
                                  {nodes, 1000, "", "n1"});
  REQUIRE(kinds(check) == "CheckArtifact");
  CHECK(check.commands[0].body.AsCheckArtifact()->job_is_gone);
  wire::WorkspaceT gated = serving(1);
  gated.inference->access_secret = "hf";
  gated.inference->weights_image = "r.io/mine:1";
  gated.inference->weights_secrets = {"pull"};
  const auto asked = node::decide(record(std::move(gated), planned(1)), {nodes, 1000, "", "n1"});
  REQUIRE(kinds(asked) == "PrepareRun");
  CHECK(asked.commands[0].body.AsPrepareRun()->access_secret == "hf");
  CHECK(asked.commands[0].body.AsPrepareRun()->weights_image == "r.io/mine:1");
  CHECK(asked.commands[0].body.AsPrepareRun()->weights_secrets == std::vector<std::string>{"pull"});
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(kinds(node::decide(row.record, {nodes, 1000, "", "n1"})) == row.commands);
  }
}

TEST_CASE(
    "node: the note of its models is written whenever the Node is there and does not show it") {
  const std::vector<std::string> tiny = {"tiny"};
  wire::NodeT node;
  node.exists = true;
  node.version = 5;
  node::ModelsNote note;
  CHECK(note.is_due(tiny, {7}, {}, node, 1'000));
  note = {tiny, {}, {7}, 5, 1'000};
  CHECK_FALSE(note.is_due(tiny, {7}, {}, node, 2'000));  // on its way
  CHECK(note.is_due(tiny, {7}, {}, node, 32'000));       // it never came
  CHECK(note.is_due({}, {}, {}, node, 2'000) == false);
  CHECK(note.is_due({"other"}, {7}, {}, node, 2'000));
  node.models = tiny;
  CHECK(note.is_due(tiny, {7}, {}, node, 99'000));  // by an agent that said no sizes
  node.model_bytes.push_back(std::make_unique<wire::LabelT>());
  node.model_bytes[0]->key = "tiny";
  node.model_bytes[0]->value = "7";
  CHECK_FALSE(note.is_due(tiny, {7}, {}, node, 99'000));
  CHECK(note.is_due(tiny, {9}, {}, node, 2'000));       // other files
  CHECK(note.is_due(tiny, {7}, {"hub"}, node, 2'000));  // it may fetch from now on
  node.models.clear();  // dropped by hand, or another Node of this name
  node.version = 6;
  CHECK(note.is_due(tiny, {7}, {}, node, 2'000));
  node.exists = false;
  CHECK_FALSE(note.is_due(tiny, {7}, {}, node, 2'000));
}

TEST_CASE(
    "node: a run is prepared with the checkpoint that another node has left, of its revision") {
  const runtime::Nodes nodes;
  const auto asked = [&](wire::RecordT r) {
    const auto d = node::decide(r, {nodes, 1000, "", "n1"});
    if (kinds(d) != "PrepareRun") return "no: " + kinds(d);
    const auto& prepare = *d.commands[0].body.AsPrepareRun();
    if (!prepare.checkpoint) return std::string("none");
    return std::to_string(prepare.checkpoint->step) + " " + prepare.checkpoint->image + " " +
           prepare.checkpoint_secret;
  };
  const std::string of_40 = "40 localhost:5000/a:1-checkpoint-u1 push";
  CHECK(asked(record(tuning(1), planned(1))) == "none");
  CHECK(asked(record(tuning(1), planned(1), checkpoint(1, 40, "n2"))) == of_40);
  CHECK(asked(record(tuning(1), planned(1), checkpoint(1, 40, "n2"), checkpoint(2, 30, "n3"))) ==
        of_40);
  CHECK(asked(record(tuning(1), planned(1), checkpoint(1, 40, "n2", "rev0"))) == "none");
  CHECK(asked(record(tuning(1), planned(1), checkpoint(1, 0, "n2", ""))) == "none");
  wire::WorkspaceT unkept = tuning(1);
  unkept.annotations.push_back(label("kairo.dev/keep-checkpoints", "false"));
  CHECK(asked(record(std::move(unkept), planned(1), checkpoint(1, 40, "n2"))) == "none");
  // One that is said later is worth asking again; the same one is not.
  const auto before = [&](const std::string& wish) {
    return marked(record(tuning(1), planned(1), checkpoint(1, 40, "n2")), "prepare", wish);
  };
  CHECK(asked(before("rev1/1")) == of_40);
  CHECK(asked(before("rev1/1/40")) == "no: ");
}

TEST_CASE("node: a training that hangs a fourth time without a step between has failed") {
  wire::TrainingT training;
  training.version = 1;
  training.revision = "rev1";
  training.node = "n1";
  training.progress = std::make_unique<wire::ProgressT>();
  training.stalled = "no step since ...";
  training.stalls = 3;
  const runtime::Nodes nodes;
  const auto decided = [&](wire::RecordT r) { return node::decide(r, {nodes, 1, "", "n1"}); };
  const auto with = [&] {
    return record(tuning(1), planned(1), run_dir(1), job(1), wire::TrainingT(training));
  };
  CHECK(kinds(decided(with())) == "");  // it is started again
  training.stalls = 4;
  const auto d = decided(with());
  REQUIRE(kinds(d) == "Publish:artifact");
  const auto& artifact = *d.commands[0].body.AsPublish()->fact->body.AsArtifact();
  CHECK(artifact.problem ==
        "the training hangs: 4 times in a row it was ended without a step between, the last time "
        "with no step since ...; look at its log and at the GPU, then make the Workspace anew");
  CHECK(artifact.place == planned(1).place);
  training.stalled = "";  // the count is kept while the next process goes on
  CHECK(kinds(decided(with())) == "");
  training.stalled = "no step since ...";
  training.revision = "rev0";
  CHECK(kinds(decided(with())) == "");
}
