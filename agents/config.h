// agents/config.h - what a process needs to know, made from its settings: of the home folder of a
// local kairo, of a kubeconfig, or of a pod. Validated once, at start.
#pragma once
#include <functional>
#include <map>
#include <string>

#include "agents/bus/nats_bus.h"
#include "agents/cli/home.h"
#include "agents/cluster/kubeconfig.h"
#include "agents/node/model_cache.h"
#include "agents/provisioner/terms.h"
#include "agents/pusher/checkpoint.h"
#include "agents/settings.h"
#include "agents/web/serve_web.h"
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
  std::string runs_dir;
  node::CacheSettings models;               // of the node agent
  std::string hub_token_file;               // "" = none
  std::string nvml, kernel_log, xid_table;  // files; "" = the usual place; "none" = off
  std::string gateway;                      // of the launcher: openai-url; "" = there is none
  // "" = the launcher's own
  std::string image, engine_image, cuda_engine_image, vllm_image;
  std::string image_volumes;   // "", "auto", "never", "always"
  provisioner::Terms terms{};  // how nodes come
  std::int64_t checkpoint_every_ms = pusher::checkpoint_every_ms;
  std::string health_host = "127.0.0.1";
  int health_port = 0;    // 0 = any
  std::string port_file;  // of the health port; "" = none
  cluster::KubeConfig cluster;
  bus::NatsOptions bus;
};
std::string environment(const std::string& name);  // "" = not set; before any thread
// Flags, environment and the file that one of them names. invalid: see settle().
Result<Settled> read_settings(const std::map<std::string, std::string>& flags);
bool is_local(const Settled& settled);
// The cluster and who one is there. Not for the local one, whose users are processes of kairo.
Result<cluster::Target> target_of(const Settled& settled);
// invalid: no such agent; a setting that is missing or does not do.
Result<AgentConfig> agent_config(const std::string& agent, const Settled& settled);
// Of `kairo web`. invalid: a setting that is missing or does not do.
Result<web::WebConfig> web_config(const Settled& settled);
// Where weights are and come from; folder: where they lie when nobody says anything.
node::CacheSettings cache_settings(const Settled& settled, const std::string& folder);
// One line at start: whatever somebody set and where, then what holds. Without secrets.
void log_config(const AgentConfig& config, const Settled& settled);
}  // namespace kairo
