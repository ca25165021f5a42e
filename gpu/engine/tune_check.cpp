// gpu/engine/tune_check.cpp - whether a job can run, and what the engine must know of its data.
#include <algorithm>

#include "gpu/engine/tune.h"
#include "gpu/model/lora_choice.h"

namespace kairo::gpu {
namespace {
constexpr std::int64_t steps_looked_at = 10'000, rows_looked_at = 10'000'000;
// Of a row beside its tokens: two vectors, two spans, their blocks.
constexpr std::int64_t row_bytes = 128;
}  // namespace

TuneFailure model_failure(const Error& e) {
  if (e.code == Code::conflict) return {"stopped", e.what};
  return {e.code == Code::unavailable ? "out_of_memory" : "bad_model", e.what};
}

std::optional<TuneFailure> check_job(const TuneJob& job) {
  if (job.rows.empty()) return TuneFailure{"bad_data", "the data set has no rows"};
  if (job.total_steps < 1) return TuneFailure{"bad_config", "there is no optimizer step to take"};
  const auto is_trained = [](const TrainRow& row) { return targets_of(row) > 0; };
  if (std::none_of(job.rows.begin(), job.rows.end(), is_trained))
    return TuneFailure{"bad_data", "no token of the data set is trained"};
  const auto config = load_model_config(job.model_dir);
  if (!config.ok()) return model_failure(config.error());
  const auto layout = make_lora_layout(config.value(), job.rank, 1.0, job.targets);
  if (!layout.ok()) return TuneFailure{"bad_config", layout.error().what};
  std::int64_t longest = 0;
  for (const auto* rows : {&job.rows, &job.held_out})
    for (std::size_t i = 0; i < rows->size(); ++i) {
      const TrainRow& row = (*rows)[i];
      longest = std::max(longest, static_cast<std::int64_t>(row.tokens.size()));
      for (const auto token : row.tokens)
        if (token < 0 || token >= config.value().vocab)
          return TuneFailure{"bad_data",
                             std::string(rows == &job.rows ? "row " : "held-out row ") +
                                 std::to_string(i + 1) + ": token " + std::to_string(token) +
                                 " is not in the model's vocabulary; is the tokenizer of another "
                                 "model?"};
    }
  if (longest - 1 > config.value().positions)
    return TuneFailure{"bad_data",
                       "a row has " + std::to_string(longest) + " tokens, the model takes " +
                           std::to_string(config.value().positions) + "; set max_length"};
  return std::nullopt;
}

void fill_extremes(EngineOptions& options, const TuneJob& job) {
  const auto inputs = [](const TrainRow& row) {
    return std::max<std::int64_t>(static_cast<std::int64_t>(row.tokens.size()) - 1, 1);
  };
  options.longest_row = 1;
  for (const auto& row : job.rows) options.longest_row = std::max(options.longest_row, inputs(row));
  if (job.evaluation.count_all(job.total_steps) > 0)
    for (const auto& row : job.held_out)
      options.longest_row = std::max(options.longest_row, inputs(row));
  options.keeps_best = job.evaluation.keep_best;
  for (const auto* rows : {&job.rows, &job.held_out})
    for (const auto& row : *rows)
      options.data_bytes +=
          row_bytes + static_cast<std::int64_t>(row.tokens.size_bytes() + row.trained.size_bytes());
  options.tokens_per_step = options.longest_row;
  const std::int64_t steps = std::min(job.total_steps, steps_looked_at);
  std::int64_t looked_at = 0;
  for (std::int64_t step = 0; step < steps && looked_at < rows_looked_at; ++step) {
    const auto rows = job.rows_of_step(step);
    std::int64_t tokens = 0;
    for (const std::size_t i : rows) tokens += inputs(job.rows[i]);
    looked_at += static_cast<std::int64_t>(rows.size());
    options.tokens_per_step = std::max(options.tokens_per_step, tokens);
  }
}

EngineOptions engine_options(const TuneJob& job) {
  EngineOptions options;
  options.model_dir = job.model_dir;
  options.method = job.method;
  options.type = job.type;
  options.products = job.products;
  options.rank = job.rank;
  options.alpha = job.alpha;
  options.use_rslora = job.use_rslora;
  options.dropout = job.dropout;
  options.targets = job.targets;
  options.init = job.init;
  options.seed = job.seed;
  options.device = job.device;
  options.ranks = job.ranks;
  options.threads = job.threads;
  options.budget_bytes = job.budget_bytes;
  fill_extremes(options, job);
  return options;
}

}  // namespace kairo::gpu
