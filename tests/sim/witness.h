// tests/sim/witness.h - the invariants: what every write may do, and where all must end.
#pragma once
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "agents/bus/memory_bus.h"
#include "tests/sim/kubelet.h"
#include "tests/sim/meddler.h"
#include "tests/sim/user.h"

namespace kairo::sim {
struct World {  // what there is to look at
  cluster::MemoryCluster& cluster;
  const bus::MemoryBroker& broker;
  const Machines& machines;
  const RegistryModel& registry;
  const KubeletModel& kubelet;
  const User& user;
  const Meddler& meddler;
};

class Witness {
 public:
  explicit Witness(World world) : world_(world) {}
  // Every write of an agent, as it is done.
  void applied(const cluster::Apply& apply, const std::string& object);
  void restarted(const std::string& agent) { ++restarts_[agent]; }
  void put_back();  // the cluster, to an earlier time
  void nodes_are(bool some_ready, bool all_ready) {
    node_ready_ = some_ready;
    all_nodes_ready_ = all_ready;
  }
  // When all is quiet: "" when every promise was kept.
  std::string verdict() const;

 private:
  using Json = nlohmann::json;
  struct Shown {  // of one Workspace object
    std::uint64_t generation = 0;
    std::string state, digest;
  };
  void status_written(const Json& workspace);
  void job_written(const Json& job);
  bool is_there(const std::string& uid, const std::string& name) const;  // the Workspace
  void wrong(const std::string& what);
  std::string left_behind() const;
  std::string pushed_too_often() const;
  std::string ending_of(const std::string& name, const Wish& wish) const;
  std::string tuned(const std::string& name, const Wish& wish, const Json& workspace) const;
  std::string told(const std::string& name, const Json& workspace) const;

  World world_;
  std::map<std::string, Shown> shown_;           // by uid
  std::map<std::string, std::string> job_uids_;  // Job uid -> uid/revision it was made for
  std::map<std::string, unsigned> jobs_;         // uid/revision -> Jobs made
  std::map<std::string, unsigned> restarts_;     // agent -> how often
  unsigned put_back_ = 0;
  bool node_ready_ = true, all_nodes_ready_ = true;
  std::string wrong_;
};
}  // namespace kairo::sim
