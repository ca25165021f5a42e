// agents/config.h - what an agent process needs to know, from the home folder of a local kairo or,
// in a cluster, from environment variables. Validated once, at start.
#pragma once
#include <string>

#include "agents/bus/nats_bus.h"
#include "agents/cli/home.h"
#include "agents/cluster/kube_cluster.h"
#include "schemas/base/result.h"

namespace kairo {
struct AgentConfig {
  std::string agent;  // watcher, provisioner, launcher, node, pusher
  bool is_local = true;
  std::string node;       // this machine's Node name
  std::string state_dir;  // RocksDB
  // One process of a role acts. lease_file: it has a lock on this file; or, when lease_ns is not
  // empty, the Lease object lease_name in this namespace.
  std::string lease_file, lease_ns, lease_name;
  std::string runs_dir, models_dir;
  std::string port_file;  // of the health port
  cluster::KubeConfig cluster;
  bus::NatsOptions bus;
};
// One more process of a role that there is already: it stands by, with a store of its own.
struct Replica {
  std::string name;      // "" = the one that `kairo up` starts
  std::string lease_ns;  // where the Lease object is; "" = a lock in the home folder
};
// invalid: no such agent; a name that is no DNS label.
Result<AgentConfig> local_config(const cli::Home& home, const std::string& agent,
                                 const Replica& replica = {});
}  // namespace kairo
