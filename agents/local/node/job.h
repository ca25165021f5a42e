// agents/local/node/job.h - the Job controller's and the StatefulSet controller's decisions.
// Pure. Private to local/.
#pragma once
#include <string>
#include <vector>

#include "agents/cluster/json.h"

namespace kairo::cluster {
struct WorkloadStep {
  std::vector<Json> create;         // pods, complete
  std::vector<std::string> remove;  // pods, by name
  Json status;                      // of the Job or StatefulSet; null: as it is
  std::int64_t look_again_ms = 0;   // Unix time at which this must be decided again; 0: on changes
};
// pods: those that the Job owns. backoff_ms: before the first retry; it doubles up to 6 minutes.
// backoffLimit, completions = parallelism = 1, podFailurePolicy, suspend,
// activeDeadlineSeconds.
WorkloadStep decide_job(const Json& job, const std::vector<Json>& pods, std::int64_t backoff_ms,
                        std::int64_t now_ms);
// Pods <name>-0 ... all at once; a pod of an older template, or one that ended, is replaced.
WorkloadStep decide_stateful_set(const Json& set, const std::vector<Json>& pods);
bool is_pod_ready(const Json& pod);
}  // namespace kairo::cluster
