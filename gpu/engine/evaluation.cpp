// gpu/engine/evaluation.cpp
#include "gpu/engine/evaluation.h"

#include <algorithm>
#include <cmath>

#include "gpu/engine/trainer.h"

namespace kairo::gpu {
bool EvaluationPlan::is_due(std::int64_t step, std::int64_t total_steps) const {
  if (step == 0) return at_start;
  if (step == total_steps && at_end) return true;
  return every > 0 && step % every == 0 && step >= from;
}
std::int64_t EvaluationPlan::count(std::int64_t after, std::int64_t total_steps) const {
  if (after >= total_steps) return 0;
  const std::int64_t before = std::max({after, from - 1, std::int64_t{0}});
  const std::int64_t on_the_way =
      every > 0 ? std::max<std::int64_t>(total_steps / every - before / every, 0) : 0;
  const bool is_on_the_way = every > 0 && total_steps % every == 0 && total_steps >= from;
  return on_the_way + (at_end && !is_on_the_way ? 1 : 0);
}

bool take_evaluation(Evaluated& known, std::int64_t step, double loss) {
  known.step = step;
  known.loss = loss;
  const bool is_best =
      step > 0 && std::isfinite(loss) && (known.best_step < 0 || loss < known.best_loss);
  if (is_best) known.best_step = step, known.best_loss = loss;
  return is_best;
}

Result<std::optional<double>> evaluate_rows(Engine& engine, std::span<const TrainRow> rows,
                                            const std::function<bool()>& should_stop) {
  const auto length = [](const TrainRow& row) {
    return static_cast<std::int64_t>(row.tokens.size());
  };
  const std::int64_t tokens_max = engine.plan().microbatch_tokens;
  double sum = 0;
  std::int64_t targets = 0;
  for (std::size_t begin = 0, end = 0; begin < rows.size(); begin = end) {
    if (should_stop()) return std::optional<double>();
    std::int64_t tokens = length(rows[end++]);
    while (end < rows.size() && tokens + length(rows[end]) <= tokens_max)
      tokens += length(rows[end++]);
    for (std::size_t i = begin; i < end; ++i) targets += targets_of(rows[i]);
    sum += TRY(
        within_memory(engine, [&] { return engine.evaluate(rows.subspan(begin, end - begin)); }));
  }
  return std::optional<double>(targets > 0 ? sum / static_cast<double>(targets) : 0.0);
}
}  // namespace kairo::gpu
