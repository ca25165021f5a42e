// agents/provisioner/effects.h - the provisioner's writes on the cluster: claims, pools, one label.
#pragma once
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "agents/cluster/cluster.h"
#include "agents/provisioner/terms.h"
#include "agents/runtime/agent.h"

namespace kairo::provisioner {
// What is wrong with a ConfigMap (its JSON) of this name for this method; "" = nothing.
using CheckConfig = std::function<std::string(const std::string& config_map,
                                              const std::string& name, const std::string& method)>;
class ProvisionerEffects final : public runtime::Effects {
 public:
  // observe: takes a fact for this agent alone.
  ProvisionerEffects(cluster::Cluster& cluster, Terms terms, CheckConfig check_config,
                     std::function<void(wire::FactT)> observe)
      : cluster_(cluster),
        terms_(std::move(terms)),
        check_config_(std::move(check_config)),
        observe_(std::move(observe)) {}
  Status perform(const wire::CommandT& command) override;

 private:
  struct Found {
    cluster::Ref ref;
    std::string uid;
    bool is_leaving = false;
  };
  Status buy(const wire::CommandT& command);
  Status check(const wire::CommandT& command);
  Status size(const cluster::Ref& pool, std::uint32_t replicas);
  Status give_up(const wire::CommandT& command);
  Status label(const wire::CommandT& command);
  Status explain(const wire::CommandT& command);
  Result<std::vector<Found>> all_of(const wire::CommandT& command);
  void answer(const wire::CommandT& command, wire::ClaimEndT end);

  cluster::Cluster& cluster_;
  const Terms terms_;
  const CheckConfig check_config_;
  const std::function<void(wire::FactT)> observe_;
};
}  // namespace kairo::provisioner
