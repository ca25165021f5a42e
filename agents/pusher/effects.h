// agents/pusher/effects.h - pushes of artifacts and checkpoints, with the user's Secret.
#pragma once
#include <functional>

#include "agents/cluster/cluster.h"
#include "agents/pusher/checkpoints.h"
#include "agents/pusher/uploader.h"
#include "agents/runtime/agent.h"
#include "schemas/base/clock.h"

namespace kairo::pusher {
class PusherEffects final : public runtime::Effects {
 public:
  using Observe = std::function<void(wire::FactT)>;  // thread-safe; the runtime publishes it
  // self: the node that this is. checkpoints: null: they are not kept.
  PusherEffects(cluster::Cluster& cluster, Uploader& uploader, const Clock& clock, Observe observe,
                std::string self = "", Checkpoints* checkpoints = nullptr)
      : cluster_(cluster),
        uploader_(uploader),
        clock_(clock),
        observe_(std::move(observe)),
        self_(std::move(self)),
        checkpoints_(checkpoints) {}
  // not_found: the Secret is missing. conflict: the adapter's files are. invalid: the registry
  // refuses. unavailable: try again.
  Status perform(const wire::CommandT& command) override;

 private:
  Status push(const wire::CommandT& command);
  Status push_checkpoint(const wire::CommandT& command);
  Status drop_checkpoint(const wire::CommandT& command);
  CheckpointJob job_of(const wire::CommandT& command, const wire::WorkspaceT& workspace);
  Result<std::string> credentials(const std::string& ns, const std::string& secret);
  void tell(const wire::CommandT& command, wire::PushT push);

  cluster::Cluster& cluster_;
  Uploader& uploader_;
  const Clock& clock_;
  const Observe observe_;
  const std::string self_;
  Checkpoints* const checkpoints_;
};
}  // namespace kairo::pusher
