// agents/gateway/gateway.h - OpenAI's files, fine-tuning jobs, models and chat over Workspaces.
//
// One truth, the cluster's: a job is a tuning Workspace (job_objects.h), a model that is asked is
// served by an inference Workspace. The gateway's folder holds the files that were uploaded, and of
// jobs nothing.
#pragma once
#include <atomic>
#include <string>

#include "agents/cluster/cluster.h"
#include "agents/gateway/jobs_api.h"
#include "agents/gateway/keys.h"

namespace kairo::gateway {
struct Settings {
  std::string folder;  // files
  std::string runs;    // run directories that this process can read; "" = none
  std::string host = "127.0.0.1";
  int port = 0;
  std::string port_file;  // "" = none
  std::string self_url;   // "" = http://127.0.0.1:PORT
  Place place;
  bool in_cluster = false;
  Keys keys;
  std::uint64_t files_bytes_max = 50ULL << 30;  // of one key
  std::int64_t jobs_max = 16;                   // of one key, that have not ended
  std::int64_t load_wait_ms = 120'000;          // for a model's server
};
// Serves until `stop`.
Status run_gateway(const Settings& settings, cluster::Cluster& cluster,
                   const std::atomic<bool>& stop);
}  // namespace kairo::gateway
