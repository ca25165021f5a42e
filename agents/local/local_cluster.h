// agents/local/local_cluster.h - Kubernetes for one machine: objects, REST, and the runner.
#pragma once
#include <atomic>
#include <string>
#include <vector>

#include "agents/local/apiserver/persist.h"
#include "state/store.h"

namespace kairo::cluster {
// The one Node's name. Not the host's, which changes: Workspaces remember where their runs lie.
inline const std::string local_node = "local";
struct LocalOptions {
  std::string state_dir;    // pods/ and volumes/ are made below it, 0700
  std::string port_file;    // gets "<port>\n" (by rename) once requests are answered; "" = none
  std::string tokens_file;  // see rights.h
  std::string program_dir;  // where kairo, kairo-tune and kairo-serve lie
  int port = 0;             // 0 = any free one
  Admit admit;
  // What a container may run, by command[0]: looked up in program_dir only; for tests an absolute
  // path may stand here.
  std::vector<std::string> programs{"kairo", "kairo-tune", "kairo-serve"};
  std::int64_t backoff_ms = 10'000;  // before the first retry of a Job or restart of a container
  bool ends_pods = true;             // at an orderly stop: end_pods
};
// Runs until `stop`, then ends the server and returns. Containers outlive a run that was killed and
// are adopted by the next one. `store` keeps the objects under "cluster/". Errors: invalid
// (options, tokens file), unavailable (port taken, state directory), corrupt (damaged rows).
Status run_local_cluster(const LocalOptions& options, state::Store& store, std::atomic<bool>& stop);
// SIGTERM to every container of a state directory, and after pods_grace_ms SIGKILL; returns when
// none runs. Their folders keep the exit codes, which the next start reads.
constexpr int pods_grace_ms = 60'000;
void end_pods(const std::string& state_dir);
}  // namespace kairo::cluster
