// agents/watcher/effects.h - the watcher's writes on the cluster and its words for people.
#pragma once
#include "agents/bus/bus.h"
#include "agents/cluster/cluster.h"
#include "agents/runtime/agent.h"
#include "schemas/base/clock.h"

namespace kairo::watcher {
class WatcherEffects final : public runtime::Effects {
 public:
  WatcherEffects(cluster::Cluster& cluster, bus::Bus& bus, const Clock& clock)
      : cluster_(cluster), bus_(bus), clock_(clock) {}
  Status perform(const wire::CommandT& command) override;

 private:
  Status set_finalizer(const wire::CommandT& command);
  Status save_revision(const wire::CommandT& command);
  Status patch_status(const wire::CommandT& command);
  Status announce(const wire::CommandT& command);

  cluster::Cluster& cluster_;
  bus::Bus& bus_;
  const Clock& clock_;
};
}  // namespace kairo::watcher
