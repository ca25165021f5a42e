// agents/local/node/schedule.h - does a pod fit on the one node, beside those that run? Pure.
// Private to local/.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "agents/cluster/json.h"

namespace kairo::cluster {
// CPU in milli-units, memory in bytes, GPUs in pieces.
std::map<std::string, std::int64_t> requests_of(const Json& pod);
bool holds_resources(const Json& pod);  // it is on the node and has not ended
// "" = it fits; else Kubernetes' words: "0/1 nodes are available: 1 Insufficient cpu (held by
// default/tuning-a)."
std::string why_not(const Json& node, const std::vector<Json>& pods, const Json& pod);
// The GPUs that nobody holds, as many as the pod asks for: "0,1". They are told apart by the
// annotation kairo.dev/gpus of the pods that run.
std::string free_gpus(const Json& node, const std::vector<Json>& pods, const Json& pod);
}  // namespace kairo::cluster
