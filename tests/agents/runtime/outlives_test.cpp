// What this proves: which intents a machine may lose, so that nobody adds one without a thought.
#include "agents/runtime/outlives.h"

#include <doctest/doctest.h>

#include "tests/support/facts.h"

using namespace kairo;
using namespace kairo::test;

namespace {
template <class Body>
wire::CommandT command(Body body) {
  wire::CommandT out;
  out.body.Set(std::move(body));
  return out;
}
template <class Word>
wire::CommandT saying(Word word) {
  wire::PublishT body;
  body.fact = std::make_unique<wire::FactT>(fact(std::move(word)));
  return command(std::move(body));
}
}  // namespace

TEST_CASE("outlives: a choice is on disk before it is acted on; what follows again is not") {
  struct Row {
    const char* name;
    wire::CommandT command;
    bool expected;
  };
  Row rows[] = {
      {"a grant", saying(ready(1)), true},
      {"what was pushed", saying(wire::PushT()), true},
      {"a run that is wished for", saying(planned(1)), false},
      {"a run directory", saying(run_dir(1)), false},
      {"an adapter on the disk", saying(wire::ArtifactT()), false},
      {"a purchase", command(wire::BuyNodeT()), true},
      {"nodes given back", command(wire::GiveUpNodesT()), true},
      {"a Job", command(wire::ApplyTuningT()), true},
      {"a server", command(wire::ApplyInferenceT()), true},
      {"the end of a workload", command(wire::RemoveWorkloadT()), true},
      {"the end of a run", command(wire::ReleaseRunT()), true},
      {"a push", command(wire::PushImageT()), true},
      {"a checkpoint that is safe", saying(wire::CheckpointT()), true},
      {"its push", command(wire::PushCheckpointT()), false},
      {"its end", command(wire::DropCheckpointT()), true},
      {"a volume before its time", command(wire::MakeVolumeT()), false},
      {"a status", command(wire::PatchStatusT()), true},
      {"a status on the bus", command(wire::AnnounceStatusT()), false},
      {"a directory on this node", command(wire::PrepareRunT()), false},
      {"its end", command(wire::RemoveRunT()), false},
      {"a look at it", command(wire::CheckArtifactT()), false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(runtime::must_outlive_the_machine(row.command) == row.expected);
  }
}
