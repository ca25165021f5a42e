// tests/sim/adapters.h - adapters that come while a server answers: what a node's disk keeps of
// them, and what its servers have loaded.
#pragma once
#include "agents/node/adapters.h"
#include "tests/sim/kubelet.h"

namespace kairo::sim {
class AdaptersModel final : public node::Adapters {
 public:
  using Observe = std::function<void(wire::FactT)>;
  struct World {
    DiskModel& disk;
    const RegistryModel& registry;
    const KubeletModel& kubelet;
    Dice& dice;
  };
  AdaptersModel(World world, Observe observe, std::string self)
      : world_(world), observe_(std::move(observe)), self_(std::move(self)) {}
  Status want(const wire::CommandT& command, const wire::ServeAdaptersT& wish) override;
  void tend(std::int64_t now_ms);  // as node::AdapterKeeper does it, on the models

 private:
  void tend(const std::string& key, const wire::CommandT& command, std::int64_t now_ms);
  const World world_;
  const Observe observe_;
  const std::string self_;
  std::set<std::string> told_;  // by this process
};
}  // namespace kairo::sim
