// agents/node/training_metrics.h - what computes the trainings of this node, as Prometheus text.
// Pure.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "schemas/run_generated.h"

namespace kairo::node {
// A run whose last line is older is not told: it may go on elsewhere.
constexpr std::int64_t training_told_ms = 3'600'000;
struct TrainingSeen {
  std::string ns, workspace;
  wire::ProgressT last;
};
// Of those that have not ended. UUID is the label that the GPU's own figures have, so that a query
// joins the two.
std::string training_metrics(const std::vector<TrainingSeen>& trainings, std::int64_t now_ms);
}  // namespace kairo::node
