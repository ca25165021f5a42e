// tests/sim/cloud.h - a cloud and the node provisioner before it (Karpenter): claims are launched,
// refused, deleted with an Event; nodes come, without their GPU at first; spot machines are taken
// away; a pool's claims are made. It watches that no Workspace pays for more machines than it
// needs.
#pragma once
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "agents/local/apiserver/memory_cluster.h"
#include "tests/sim/dice.h"

namespace kairo::sim {
class CloudModel {
 public:
  struct Machines {
    std::function<void(const std::string&node)> boot, end;  // an empty disk; all on it is lost
  };
  CloudModel(cluster::MemoryCluster& cluster, Dice& dice, Machines machines)
      : cluster_(cluster), dice_(dice), machines_(std::move(machines)) {}
  bool step();  // true: something has changed, or is on its way
  void take_a_spot_machine();
  void scale_a_pool();                              // somebody does
  void ask_as_kaito(const std::string& workspace);  // of a Workspace that is there
  // What is there of this Workspace, pools and claims that leave among it; "" = nothing.
  std::string left_of(const std::string& workspace);
  std::size_t machines_of(const std::string& workspace);
  unsigned losses() const { return losses_; }
  std::string wrong;  // the first invariant that broke; "" = none

 private:
  using Json = nlohmann::json;
  struct Launch {  // of a claim, by its uid
    std::string claim, workspace;
    std::string
        owner;  // the uid of the Workspace that kairo asked for it for; a namesake has another
    std::string machine;
    int stage = 0;
    bool is_pools = false;
  };
  void control_pools();
  void make_claim_of(const Json& pool);
  void control(const Json& claim);
  bool advance(const Json& claim, Launch& launch);
  void refuse(const Json& claim, const char* reason);
  void end(const Json& claim, Launch& launch);
  void show(const Json& claim, const Launch& launch);
  void show_node(const Json& claim, const Launch& launch);
  void note_agents();
  std::string free_machine();
  std::vector<Json> all(const cluster::Kind& kind);

  cluster::MemoryCluster& cluster_;
  Dice& dice_;
  const Machines machines_;
  std::map<std::string, Launch> launches_;
  std::uint64_t made_ = 0, version_ = 0;
  bool is_late_ = false;  // something is put off: it is looked at again though nothing changes
  unsigned losses_ = 0;
};
}  // namespace kairo::sim
