// gpu/engine/evaluation.h - when the held-out rows are evaluated, and how.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "gpu/engine/engine.h"
#include "gpu/formats/checkpoint.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
// In finished steps. transformers' rhythm: the multiples of every, but none before from.
struct EvaluationPlan {
  std::int64_t every = 0, from = 0;  // every 0: none on the way
  bool at_start = false, at_end = false;
  bool keep_best = false;  // the adapter that comes out is the one with the least loss
  bool is_due(std::int64_t step, std::int64_t total_steps) const;
  // How many of the steps in (after, total_steps] are due.
  std::int64_t count(std::int64_t after, std::int64_t total_steps) const;
  std::int64_t count_all(std::int64_t total_steps) const {
    return count(0, total_steps) + (at_start ? 1 : 0);
  }
};
// Takes a finished evaluation over. true: it is the best so far. As in transformers, one of a step
// 0 is a look only, and of equal ones the first is best.
bool take_evaluation(Evaluated& known, std::int64_t step, double loss);
// The mean of -log p over all targets of the rows: forward only, a batch at a time, should_stop
// asked between. Empty: it said so. invalid: as Engine::evaluate.
Result<std::optional<double>> evaluate_rows(Engine& engine, std::span<const TrainRow> rows,
                                            const std::function<bool()>& should_stop);
}  // namespace kairo::gpu
