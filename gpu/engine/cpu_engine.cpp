// gpu/engine/cpu_engine.cpp - the CPU backend: batches, layer order, recomputation, optimizer.
#include <algorithm>
#include <optional>
#include <utility>

#include "gpu/engine/cpu_head.h"
#include "gpu/engine/cpu_layers.h"
#include "gpu/engine/engine.h"
#include "gpu/engine/machine.h"
#include "gpu/engine/torch_cpu.h"
#include "gpu/kernels/adamw.h"
#include "gpu/kernels/dropout.h"
#include "schemas/base/log.h"

namespace kairo::gpu {
namespace {
class CpuEngine final : public Engine {
 public:
  CpuEngine(ModelConfig config, LoraLayout lora, MemoryPlan plan, CpuWeights weights,
            const EngineOptions& options, int threads)
      : config_(std::move(config)),
        lora_(std::move(lora)),
        plan_(std::move(plan)),
        weights_(std::move(weights)),
        longest_(options.longest_row),
        seed_(options.seed),
        layers_(config_, lora_, weights_, plan_.microbatch_tokens, longest_, threads),
        head_(config_, weights_, plan_.head_rows),
        parameters_(lora_.parameters),
        gradient_(lora_.parameters),
        first_(lora_.parameters),
        second_(lora_.parameters),
        dx_(plan_.microbatch_tokens * config_.hidden) {
    for (Buffer* b : {&gradient_, &first_, &second_}) std::ranges::fill(b->span(), 0.0f);
    initialise_lora(parameters_.span(), lora_, options.seed, options.init);
    weights_.refresh(lora_, parameters_.span());
    for (std::int64_t l = 0; l <= config_.layers; ++l)
      inputs_.emplace_back(plan_.microbatch_tokens * config_.hidden);
    // Layers at the bottom are recomputed: their inputs stay, one set of buffers serves them all.
    const std::int64_t shared = plan_.kept_layers < config_.layers ? 1 : 0;
    for (std::int64_t i = 0; i < plan_.kept_layers + shared; ++i)
      activations_.push_back(layers_.allocate());
  }

  Result<double> accumulate(std::span<const TrainRow> rows, std::int64_t targets_in_step,
                            std::int64_t step) override {
    const float scale = 1.0f / static_cast<float>(std::max<std::int64_t>(targets_in_step, 1));
    std::optional<DropoutStep> dropout;
    if (lora_.dropout > 0) dropout = DropoutStep{seed_, step};
    return in_batches(rows, dropout, [&](const CpuBatch& batch) { return run(batch, scale); });
  }
  Result<double> evaluate(std::span<const TrainRow> rows) override {
    return in_batches(rows, std::nullopt, [&](const CpuBatch& batch) {
      forward(batch);
      return head_.forward(x(config_.layers), batch);
    });
  }

  double update(const Update& u, std::int64_t step) override {
    const double norm = norm_cpu(gradient_.data(), gradient_.size());
    const double clip =
        u.gradient_norm_max > 0 ? std::min(1.0, u.gradient_norm_max / (norm + 1e-6)) : 1.0;
    adamw_cpu(parameters_.data(), gradient_.data(), first_.data(), second_.data(),
              parameters_.size(),
              {static_cast<float>(u.learning_rate), static_cast<float>(u.beta1),
               static_cast<float>(u.beta2), static_cast<float>(u.eps),
               static_cast<float>(u.weight_decay), step, static_cast<float>(clip)});
    std::ranges::fill(gradient_.span(), 0.0f);
    weights_.refresh(lora_, parameters_.span());
    return norm;
  }

  CheckpointBuffers state() const override {
    return {parameters_.span(), first_.span(), second_.span()};
  }
  std::span<const float> gradient() const override { return gradient_.span(); }

  Status restore(const CheckpointBuffers& s) override {
    for (const auto part : {s.parameters, s.first_moment, s.second_moment})
      if (part.size() != parameters_.span().size())
        return Error{Code::invalid, "restore: the checkpoint has " + std::to_string(part.size()) +
                                        " values, the adapter " +
                                        std::to_string(parameters_.size())};
    std::ranges::copy(s.parameters, parameters_.data());
    std::ranges::copy(s.first_moment, first_.data());
    std::ranges::copy(s.second_moment, second_.data());
    std::ranges::fill(gradient_.span(), 0.0f);
    weights_.refresh(lora_, parameters_.span());
    return ok();
  }
  const ModelConfig& config() const override { return config_; }
  const LoraLayout& layout() const override { return lora_; }
  const MemoryPlan& plan() const override { return plan_; }
  ComputeShape shape() const override {
    ComputeShape out = plan_.shape();
    out.instruction_set = instruction_set();
    out.library = library();
    return out;
  }

 private:
  // The sum of what run_batch returns for as few batches as the plan allows.
  template <class RunBatch>
  Result<double> in_batches(std::span<const TrainRow> rows,
                            const std::optional<DropoutStep>& dropout, const RunBatch& run_batch) {
    for (const auto& row : rows) TRY(check(row));
    double loss = 0;
    CpuBatch batch = empty_batch();
    for (std::size_t r = 0; r < rows.size(); ++r) {
      const TrainRow& row = rows[r];
      const std::int64_t inputs = inputs_of(row);
      if (inputs == 0) continue;
      if (batch.T() + inputs > plan_.microbatch_tokens) {
        loss += run_batch(batch);
        batch = empty_batch();
      }
      append(batch, row, inputs);
      for (std::int64_t i = 0; dropout && i < inputs; ++i)
        batch.dropout_keys.push_back(dropout_token_key(*dropout, static_cast<std::int64_t>(r), i));
    }
    if (batch.T() > 0) loss += run_batch(batch);
    return loss;
  }
  static CpuBatch empty_batch() {
    CpuBatch batch;
    batch.starts.push_back(0);
    return batch;
  }
  // Tokens that must run: those before the last target. The last one predicts it.
  static std::int64_t inputs_of(const TrainRow& row) {
    std::size_t last = row.trained.size();
    while (last > 1 && row.trained[last - 1] == 0) --last;
    return last > 1 ? static_cast<std::int64_t>(last) - 1 : 0;
  }
  static void append(CpuBatch& batch, const TrainRow& row, std::int64_t inputs) {
    const auto base = static_cast<std::int32_t>(batch.T());
    for (std::int32_t i = 0; i < inputs; ++i) {
      const auto at = static_cast<std::size_t>(i);
      batch.tokens.push_back(row.tokens[at]);
      batch.positions.push_back(i);
      if (row.trained[at + 1] == 0) continue;
      batch.predicting.push_back(base + i);
      batch.targets.push_back(row.tokens[at + 1]);
    }
    batch.starts.push_back(batch.T());
  }
  Status check(const TrainRow& row) const {
    if (row.tokens.size() != row.trained.size())
      return Error{Code::invalid, "a row's tokens and mask differ in length"};
    if (inputs_of(row) > std::min(longest_, config_.positions))
      return Error{Code::invalid, "a row has " + std::to_string(row.tokens.size()) +
                                      " tokens, more than planned or than the model's positions"};
    for (const auto token : row.tokens)
      if (token < 0 || token >= config_.vocab)
        return Error{Code::invalid, "token " + std::to_string(token) +
                                        " is not in the model's vocabulary of " +
                                        std::to_string(config_.vocab)};
    return ok();
  }
  LayerActivations& activations_of(std::int64_t layer) {
    const std::int64_t recomputed = config_.layers - plan_.kept_layers;
    return activations_[static_cast<std::size_t>(layer < recomputed ? plan_.kept_layers
                                                                    : layer - recomputed)];
  }
  float* x(std::int64_t layer) { return inputs_[static_cast<std::size_t>(layer)].data(); }
  void forward(const CpuBatch& batch) {
    const std::int64_t H = config_.hidden;
    for (std::int64_t t = 0; t < batch.T(); ++t)
      std::copy_n(weights_.embedding() + batch.tokens[static_cast<std::size_t>(t)] * H, H,
                  x(0) + t * H);
    for (std::int64_t l = 0; l < config_.layers; ++l)
      layers_.forward(x(l + 1), activations_of(l), x(l), l, batch, parameters_.span());
  }
  double run(const CpuBatch& batch, float scale) {
    const std::int64_t L = config_.layers;
    forward(batch);
    const double loss = head_.forward_backward(dx_.data(), x(L), batch, scale);
    for (std::int64_t l = L - 1; l >= lora_.lowest_layer; --l) {
      if (l < L - plan_.kept_layers)
        layers_.forward(x(l + 1), activations_of(l), x(l), l, batch, parameters_.span());
      layers_.backward(dx_.data(), activations_of(l), x(l), l, batch, parameters_.span(),
                       gradient_.span());
    }
    return loss;
  }

  ModelConfig config_;
  LoraLayout lora_;
  MemoryPlan plan_;
  CpuWeights weights_;
  std::int64_t longest_;
  std::uint64_t seed_;
  CpuLayers layers_;
  CpuHead head_;
  Buffer parameters_, gradient_, first_, second_, dx_;
  std::vector<Buffer> inputs_;  // of layer l; the last is the output of all
  std::vector<LayerActivations> activations_;
};
}  // namespace

Result<std::unique_ptr<Engine>> Engine::load(const EngineOptions& options) {
  ModelConfig config = TRY(load_model_config(options.model_dir));
  TRY(check_training(config));
  AdapterConfig adapter;
  adapter.rank = std::max<std::int64_t>(options.rank, 1);
  adapter.alpha = options.alpha;
  adapter.use_rslora = options.use_rslora;
  LoraLayout lora = TRY(make_lora_layout(config, options.rank, adapter.scale(), options.targets));
  lora.dropout = options.dropout;
  const int threads = options.threads > 0 ? options.threads : usable_cores();
  set_threads(threads);
  MemoryRequest request{
      options.method,       options.tokens_per_step, options.longest_row, threads,
      options.budget_bytes, options.as_before,       options.keeps_best,  options.data_bytes};
  if (request.budget_bytes == 0) request.budget_bytes = available_bytes() / 10 * 9;
  MemoryPlan plan = TRY(plan_memory(config, lora, request));
  const TensorFolder folder = TRY(TensorFolder::open(options.model_dir));
  CpuWeights weights = TRY(CpuWeights::load(folder, config, lora, plan, options));
  return std::unique_ptr<Engine>(std::make_unique<CpuEngine>(
      std::move(config), std::move(lora), std::move(plan), std::move(weights), options, threads));
}

std::vector<TensorToWrite> adapter_tensors(const LoraLayout& layout,
                                           std::span<const float> parameters) {
  std::vector<TensorToWrite> tensors;
  const auto part = [&](std::int64_t offset, std::int64_t rows, std::int64_t cols) {
    return parameters.subspan(static_cast<std::size_t>(offset),
                              static_cast<std::size_t>(rows * cols));
  };
  for (const auto& m : layout.modules) {
    const std::string name = "base_model.model." + m.path;
    tensors.push_back({name + ".lora_A.weight", {m.rank, m.in}, part(m.a_offset, m.rank, m.in)});
    tensors.push_back({name + ".lora_B.weight", {m.out, m.rank}, part(m.b_offset, m.out, m.rank)});
  }
  return tensors;
}
}  // namespace kairo::gpu
