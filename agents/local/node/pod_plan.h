// agents/local/node/pod_plan.h - a pod's container as a process: program, arguments,
// environment.
//
// There is no mount namespace: wherever a mountPath stands in command, args or an env value, at
// path boundaries, the host's folder takes its place (the longest mountPath first). Pure.
// Private to local/.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agents/cluster/json.h"
#include "agents/local/node/cgroup.h"

namespace kairo::cluster {
using Paths = std::vector<std::pair<std::string, std::string>>;  // mountPath -> host folder
std::string rewritten(const std::string& text, const Paths& paths);

struct PodContext {
  std::map<std::string, std::string> volumes;  // volume name -> host folder
  std::map<int, int> ports;                    // containerPort -> our free port
  std::string gpus;                            // "0,1"; "" = none
  std::vector<std::string> programs;           // what may run; see LocalOptions::programs
  std::string program_dir;
  std::vector<std::string> base_env;  // "K=V", what every process gets
  // The bytes of a key of a Secret or ConfigMap; nullopt: absent.
  std::function<std::optional<std::string>(bool is_secret, const std::string& name,
                                           const std::string& key)>
      value;
};
struct ContainerPlan {
  std::string name, program;
  std::vector<std::string> argv, env;
  Limits limits;
};
// `termination_log`: the host file for terminationMessagePath. The error's text is what the pod
// says: not_found = something it refers to is absent (it may come), invalid = it cannot run here.
Result<ContainerPlan> plan_container(const Json& pod, const Json& container,
                                     const PodContext& context, const std::string& termination_log);
// 1000 per unit for CPU ("2", "500m"), bytes for memory ("1Gi"); -1: not a quantity.
std::int64_t quantity(const Json& value, std::int64_t scale);
}  // namespace kairo::cluster
