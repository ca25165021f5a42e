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
  std::string runs_dir, models_dir;
  std::string port_file;  // of the health port
  cluster::KubeConfig cluster;
  bus::NatsOptions bus;
};
Result<AgentConfig> local_config(const cli::Home& home, const std::string& agent);
}  // namespace kairo
