// agents/local/node/pod_status.h - a pod's status from what its processes do. Pure.
// Private to local/.
#pragma once
#include <string>
#include <vector>

#include "agents/cluster/json.h"
#include "agents/local/node/process.h"

namespace kairo::cluster {
struct ContainerView {
  std::string name, image;
  int attempt = -1;  // -1: never started
  ProcessState process;
  bool is_ready = false, is_started = false, is_out_of_memory = false;
  bool is_restarting = false;  // it ended and will be started again
  std::string message;         // of an end
  std::string waiting_reason, waiting_message;
  bool is_refused = false;  // it can never run here
};
struct PodView {
  std::vector<ContainerView> init, containers;
};
// What a container does after an end with `exit_code`. policy: restartPolicy, "" = Always.
bool is_restarted(const std::string& policy, bool is_init, int exit_code);
Json pod_status(const Json& pod, const PodView& view, std::int64_t now_ms);
// PodScheduled=False with the reason Unschedulable.
Json unschedulable_status(const Json& pod, const std::string& message, std::int64_t now_ms);
}  // namespace kairo::cluster
