// gpu/engine/estimate.cpp - counts tokens, plans memory and times the run's own products.
#include <algorithm>

#include "gpu/engine/buffer.h"
#include "gpu/engine/engine_request.h"
#include "gpu/engine/torch_cpu.h"
#include "gpu/engine/tune.h"
#include "gpu/model/lora_choice.h"

namespace kairo::gpu {
namespace {
// What a step costs beside the products of the base weights and the head: attention, norms, the
// adapters' gradients, the optimizer. Measured on SmolLM2 with rank 16 on all modules.
constexpr double beside_products = 1.32;

constexpr std::int64_t no_bound = std::int64_t{1} << 50;

// Whole epochs take every row once; only the rest is walked through.
TuneEstimate counts_of(const TuneJob& job) {
  TuneEstimate e;
  e.steps = job.total_steps;
  const auto add = [&](const TrainRow& row, std::int64_t times) {
    e.tokens += static_cast<std::int64_t>(row.tokens.size()) * times;
    e.trained_tokens += targets_of(row) * times;
  };
  const std::int64_t epochs = job.steps_per_epoch > 0 ? job.total_steps / job.steps_per_epoch : 0;
  if (epochs > 0)
    for (const auto& row : job.rows) add(row, epochs);
  for (std::int64_t step = epochs * job.steps_per_epoch; step < job.total_steps; ++step)
    for (const std::size_t i : job.rows_of_step(step)) add(job.rows[i], 1);
  return e;
}
// Evaluations run the products in one of the two ways.
double seconds_of(const TuneEstimate& e, const TuneJob& job, const ModelConfig& config,
                  const MemoryPlan& plan, Products products) {
  set_threads(plan.threads);
  const std::int64_t T = std::clamp<std::int64_t>(
      e.tokens / e.steps, 1, std::max<std::int64_t>(1, plan.microbatch_tokens));
  double per_layer = 0;
  for (const Group g : all_groups)
    per_layer += seconds_there_and_back(products, T, shape_of(config, g));
  const auto layers = static_cast<double>(config.layers);
  const double recomputed = (layers - static_cast<double>(plan.kept_layers)) / layers;
  const std::int64_t rows = std::clamp<std::int64_t>(e.trained_tokens / e.steps, 1, plan.head_rows);
  const double head = seconds_there_and_back(products, rows, {config.vocab, config.hidden});
  std::int64_t held_out = 0, held_out_targets = 0;
  for (const auto& row : job.held_out) {
    held_out += static_cast<std::int64_t>(row.tokens.size());
    held_out_targets += targets_of(row);
  }
  const double per_token = per_layer * layers / static_cast<double>(T);
  const double per_target = head / static_cast<double>(rows);
  const double training = per_token * (1 + recomputed / 2) * static_cast<double>(e.tokens) +
                          per_target * static_cast<double>(e.trained_tokens);
  const double evaluation = (per_token * static_cast<double>(held_out) +
                             per_target * static_cast<double>(held_out_targets)) /
                            2;
  return beside_products * (training + evaluation * static_cast<double>(e.evaluations));
}
// As Engine::load, of a device that need not be there.
Result<MemoryPlan> plan_on(EngineOptions options, const ModelConfig& config, const LoraLayout& lora,
                           std::int64_t& least_bytes) {
  if (options.budget_bytes == 0 && options.device->free_bytes == 0) options.budget_bytes = no_bound;
  const MemoryRequest request = memory_request(options, options.type, threads_of(options));
  MemoryPlan plan = TRY(plan_memory(config, lora, request));
  if (plan.budget_bytes == no_bound) plan.budget_bytes = plan.peak_bytes();
  least_bytes = smallest_plan(config, lora, request).peak_bytes();
  return plan;
}
}  // namespace

std::optional<TuneFailure> estimate_tune(const TuneJob& job, TuneEstimate& e) {
  if (auto failed = check_job(job)) return failed;
  const auto config = load_model_config(job.model_dir);
  if (!config.ok()) return model_failure(config.error());
  auto made = make_lora_layout(config.value(), job.rank, 1.0, job.targets);
  if (!made.ok()) return TuneFailure{"bad_config", made.error().what};
  LoraLayout lora = std::move(made).value();
  lora.dropout = job.dropout;
  const EngineOptions options = engine_options(job);
  e = counts_of(job);
  if (!job.held_out.empty()) e.evaluations = job.evaluation.count_all(job.total_steps);
  if (job.device != nullptr) {
    auto plan = plan_on(options, config.value(), lora, e.least_bytes);
    if (!plan.ok()) return model_failure(plan.error());
    e.peak_bytes = plan.value().peak_bytes();
    e.on_device = std::move(plan).value();
    return std::nullopt;
  }
  const int threads = threads_of(options);
  const Products products = products_of(options, config.value(), threads).products;
  const Type type = products == Products::fp32 ? Type::f32 : Type::bf16;
  const auto plan = plan_memory(config.value(), lora, memory_request(options, type, threads));
  if (!plan.ok()) return model_failure(plan.error());
  e.peak_bytes = plan.value().peak_bytes();
  if (e.tokens > 0 && e.steps > 0)
    e.seconds = seconds_of(e, job, config.value(), plan.value(), products);
  return std::nullopt;
}
}  // namespace kairo::gpu
