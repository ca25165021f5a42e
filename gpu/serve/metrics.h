// gpu/serve/metrics.h - what the server counted, as Prometheus text (format 0.0.4).
#pragma once
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <utility>

#include "gpu/serve/models.h"
#include "gpu/serve/scheduler.h"
#include "gpu/serve/timings.h"

namespace kairo::gpu {
class Metrics {  // any thread
 public:
  // Paths that the server does not know are counted as "other": a scanner makes no new series.
  void count(const std::string& path, int status);
  std::string text(const SchedulerCounts& counts) const;
  // The same and more under vLLM's names, which KEDA's scaler of KAITO, llm-d's endpoint picker and
  // boards read. models: the base model first.
  static std::string vllm_text(const SchedulerCounts& counts, const Timings& timings,
                               std::span<const ServedModel> models, const ServedRoom& room,
                               std::int64_t unix_s);

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, std::uint64_t> requests_;
};
}  // namespace kairo::gpu
