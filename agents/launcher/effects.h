// agents/launcher/effects.h - the launcher's writes on the cluster.
#pragma once
#include <functional>

#include "agents/cluster/cluster.h"
#include "agents/launcher/plan.h"
#include "agents/launcher/shared_objects.h"
#include "agents/runtime/agent.h"
#include "schemas/base/clock.h"

namespace kairo::launcher {
// Checks what the manifests name (ConfigMap, Secrets) before anything is started; a missing one is
// not_found, a wrong one conflict: both are tried again, for the user may still create or mend it.
// A ConfigMap object, its name and the method -> what is wrong with it; "" = nothing (KAITO's
// texts).
using CheckConfig = std::string (*)(const std::string& config_map, const std::string& name,
                                    const std::string& method);
using Observe = std::function<void(wire::FactT)>;  // thread-safe; the runtime publishes it
class LauncherEffects final : public runtime::Effects {
 public:
  LauncherEffects(cluster::Cluster& cluster, const Clock& clock, Settings settings,
                  CheckConfig check, Observe observe)
      : cluster_(cluster),
        clock_(clock),
        settings_(std::move(settings)),
        check_config_(check),
        observe_(std::move(observe)),
        shared_(cluster, clock) {}
  Status perform(const wire::CommandT& command) override;

 private:
  Status apply_tuning(const wire::CommandT& command);
  Status make_volume(const wire::CommandT& command);
  Status apply_inference(const wire::CommandT& command);
  // Of one on several nodes, or that may have been: pending until nothing is in its way.
  Status make_way(const wire::CommandT& command);
  // The volumes of its own, but those that are reserved for these places. Waits for them to go,
  // unless there are none.
  Status remove_volumes(const wire::CommandT& command, const std::vector<std::string>& places);
  Status apply(const wire::CommandT& command, const std::vector<cluster::Apply>& plan);
  Status remove(const wire::CommandT& command);
  Status remove_workload(const wire::CommandT& command);
  Status release(const wire::CommandT& command);
  Status check_tuning(const wire::CommandT& command);
  Status check_secret(const std::string& ns, const std::string& name, const std::string& field);

  cluster::Cluster& cluster_;
  const Clock& clock_;
  const Settings settings_;
  const CheckConfig check_config_;
  const Observe observe_;
  SharedObjects shared_;
};
}  // namespace kairo::launcher
