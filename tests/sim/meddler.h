// tests/sim/meddler.h - people and other controllers, who do what they may to what the agents made.
#pragma once
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "agents/local/apiserver/memory_cluster.h"
#include "tests/sim/dice.h"

namespace kairo::sim {
class Meddler {
 public:
  Meddler(cluster::MemoryCluster& cluster, Dice& dice) : cluster_(cluster), dice_(dice) {}
  void act();
  void delete_workload();  // a Job or StatefulSet
  void let_go();           // takes its own finalizers away
  // How many Jobs it has ended, each of which is made again.
  unsigned jobs_ended() const { return jobs_ended_; }
  bool has_meddled_with(const std::string& uid) const { return uids_.contains(uid); }

 private:
  using Json = nlohmann::json;
  void replace_workspace(const std::string& name);
  void overwrite_status(const std::string& name);
  void take_finalizer(const std::string& name);
  void hold(const std::string& name);
  void pause(const std::string& name, bool is_paused);  // a training; a server does not care
  void patch(const cluster::Kind& kind, const std::string& name, const Json& change,
             const char* subresource = "");
  void remove(const cluster::Kind& kind, const std::string& name);
  void forge(const std::string& name);
  Json object(const cluster::Kind& kind, const std::string& name);  // null: it is not there

  cluster::MemoryCluster& cluster_;
  Dice& dice_;
  unsigned jobs_ended_ = 0;
  std::set<std::string> uids_;  // of Workspaces
};
}  // namespace kairo::sim
