// agents/runtime/outlives.cpp - a row for each kind of command and of fact.
#include "agents/runtime/outlives.h"

namespace kairo::runtime {
namespace {
// A grant is a choice among nodes, and what was pushed is told from what is there: others rest on
// these words, and another choice would move a training. The rest follows from them, or is read
// from the run directory.
bool is_a_choice(wire::FactBody type) {
  switch (type) {
    case wire::FactBody::Run:
    case wire::FactBody::RunDir:
    case wire::FactBody::Training:
    case wire::FactBody::Artifact:
    case wire::FactBody::Serving:
      return false;
    case wire::FactBody::NONE:
    case wire::FactBody::Workspace:
    case wire::FactBody::Job:
    case wire::FactBody::Pod:
    case wire::FactBody::Server:
    case wire::FactBody::Node:
    case wire::FactBody::Resources:
    case wire::FactBody::Push:
    case wire::FactBody::Trouble:
    case wire::FactBody::Part:
    case wire::FactBody::StatusSeen:
    case wire::FactBody::NodeClaim:
    case wire::FactBody::ClaimEnd:
    case wire::FactBody::Checkpoint:
      break;
  }
  return true;
}
}  // namespace

bool must_outlive_the_machine(const wire::CommandT& command) {
  switch (command.body.type) {
    case wire::CommandBody::Publish:
      return is_a_choice(command.body.AsPublish()->fact->body.type);
    case wire::CommandBody::PrepareRun:  // these four look at the node's own disk
    case wire::CommandBody::RemoveRun:
    case wire::CommandBody::CheckArtifact:
    case wire::CommandBody::ServeAdapters:
    case wire::CommandBody::AnnounceStatus:
    case wire::CommandBody::MakeVolume:      // the Job's row makes what lacks
    case wire::CommandBody::PushCheckpoint:  // asked for again and again
      return false;
    case wire::CommandBody::NONE:
    case wire::CommandBody::SetFinalizer:
    case wire::CommandBody::SaveRevision:
    case wire::CommandBody::PatchStatus:
    case wire::CommandBody::ApplyTuning:
    case wire::CommandBody::ApplyInference:
    case wire::CommandBody::RemoveWorkload:
    case wire::CommandBody::PushImage:
    case wire::CommandBody::ReleaseRun:
    case wire::CommandBody::CheckPush:
    case wire::CommandBody::BuyNode:
    case wire::CommandBody::GiveUpNodes:
    case wire::CommandBody::LabelNode:
    case wire::CommandBody::ExplainEnd:
    case wire::CommandBody::DropCheckpoint:
      break;
  }
  return true;
}
}  // namespace kairo::runtime
