// gpu/engine/lora_engine.cpp - a step: batches, layer order, recomputation, optimizer.
#include <algorithm>
#include <optional>
#include <utility>

#include "gpu/engine/engine.h"
#include "gpu/engine/layer.h"
#include "gpu/engine/loss_head.h"
#include "gpu/engine/machine.h"
#include "gpu/engine/torch_cpu.h"
#include "gpu/model/lora_choice.h"
#include "gpu/plan/attention_rows.h"

namespace kairo::gpu {
namespace {
class LoraEngine final : public Engine {
 public:
  LoraEngine(std::unique_ptr<Ops> ops, ProductChoice products, ModelConfig config, LoraLayout lora,
             MemoryPlan plan, Weights weights, const EngineOptions& options)
      : ops_(std::move(ops)),
        products_(std::move(products)),
        config_(std::move(config)),
        lora_(std::move(lora)),
        plan_(std::move(plan)),
        weights_(std::move(weights)),
        device_(options.device),
        longest_(options.longest_row),
        seed_(options.seed),
        linears_(*ops_, lora_, weights_, plan_.microbatch_tokens),
        layers_(*ops_, config_, weights_, longest_ + 1, plan_.microbatch_tokens),
        head_(*ops_, config_, weights_, plan_.head_rows),
        gradient_(ops_->make(lora_.parameters)),
        first_(ops_->make(lora_.parameters)),
        second_(ops_->make(lora_.parameters)),
        dx_(ops_->make(plan_.microbatch_tokens * config_.hidden)) {
    Buffer start(lora_.parameters);
    initialise_lora(start.span(), lora_, options.seed, options.init);
    parameters_ = ops_->adopt(std::move(start));
    for (const Buffer* b : {&gradient_, &first_, &second_}) ops_->zero(flat(*b));
    take_over();
    for (std::int64_t l = 0; l <= config_.layers; ++l)
      inputs_.push_back(ops_->make(plan_.microbatch_tokens * config_.hidden));
    // Layers at the bottom are recomputed: their inputs stay, one set of buffers serves them all.
    const std::int64_t shared = plan_.kept_layers < config_.layers ? 1 : 0;
    for (std::int64_t i = 0; i < plan_.kept_layers + shared; ++i)
      activations_.push_back(
          layers_.allocate(plan_.microbatch_tokens, linears_, Activations::kept));
  }

  Result<double> accumulate(std::span<const TrainRow> rows, std::int64_t targets_in_step,
                            std::int64_t step) override {
    const float scale = 1.0f / static_cast<float>(std::max<std::int64_t>(targets_in_step, 1));
    std::optional<DropoutStep> dropout;
    if (lora_.dropout > 0) dropout = DropoutStep{seed_, step};
    return in_batches(rows, dropout, [&](const TrainBatch& batch) { return run(batch, scale); });
  }
  Result<double> evaluate(std::span<const TrainRow> rows) override {
    return in_batches(rows, std::nullopt, [&](const TrainBatch& batch) {
      forward(batch, begin(batch));
      return head_.forward(x(config_.layers, batch), batch);
    });
  }

  double update(const Update& u, std::int64_t step) override {
    const double norm = ops_->length(flat(gradient_));
    const double clip =
        u.gradient_norm_max > 0 ? std::min(1.0, u.gradient_norm_max / (norm + 1e-6)) : 1.0;
    ops_->adamw(flat(parameters_), flat(gradient_), flat(first_), flat(second_),
                {static_cast<float>(u.learning_rate), static_cast<float>(u.beta1),
                 static_cast<float>(u.beta2), static_cast<float>(u.eps),
                 static_cast<float>(u.weight_decay), step, static_cast<float>(clip)});
    take_over();
    return norm;
  }

  CheckpointBuffers state() const override {
    return {seen(parameters_), seen(first_), seen(second_)};
  }
  std::span<const float> gradient() const override { return seen(gradient_); }

  Status restore(const CheckpointBuffers& s) override {
    const auto size = static_cast<std::size_t>(lora_.parameters);
    for (const auto part : {s.parameters, s.first_moment, s.second_moment})
      if (part.size() != size)
        return Error{Code::invalid, "restore: the checkpoint has " + std::to_string(part.size()) +
                                        " values, the adapter " + std::to_string(size)};
    const auto take = [&](Buffer& to, std::span<const float> from) {
      Buffer host(lora_.parameters);
      std::ranges::copy(from, host.data());
      to = ops_->adopt(std::move(host));
    };
    take(parameters_, s.parameters);
    take(first_, s.first_moment);
    take(second_, s.second_moment);
    take_over();
    return ok();
  }
  const ModelConfig& config() const override { return config_; }
  const LoraLayout& layout() const override { return lora_; }
  const MemoryPlan& plan() const override { return plan_; }
  const ProductChoice& products() const override { return products_; }
  ComputeShape shape() const override {
    ComputeShape out = plan_.shape();
    out.products = name_of(products_.products);
    out.instruction_set = device_ == nullptr ? instruction_set() : device_->name;
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
    TrainBatch batch;
    for (std::size_t r = 0; r < rows.size(); ++r) {
      const TrainRow& row = rows[r];
      const std::int64_t inputs = inputs_of(row);
      if (inputs == 0) continue;
      if (batch.T() + inputs > plan_.microbatch_tokens) {
        loss += run_batch(batch);
        batch = {};
      }
      append(batch, row, inputs);
      for (std::int64_t i = 0; dropout && i < inputs; ++i)
        batch.dropout_keys.push_back(dropout_token_key(*dropout, static_cast<std::int64_t>(r), i));
    }
    if (batch.T() > 0) loss += run_batch(batch);
    return loss;
  }
  // Tokens that must run: those before the last target. The last one predicts it.
  static std::int64_t inputs_of(const TrainRow& row) {
    std::size_t last = row.trained.size();
    while (last > 1 && row.trained[last - 1] == 0) --last;
    return last > 1 ? static_cast<std::int64_t>(last) - 1 : 0;
  }
  void append(TrainBatch& batch, const TrainRow& row, std::int64_t inputs) const {
    const auto base = static_cast<std::int32_t>(batch.T());
    const auto tokens = static_cast<std::int64_t>(row.tokens.size());
    for (std::int32_t i = 0; i < inputs; ++i) {
      const auto at = static_cast<std::size_t>(i);
      batch.add(row.tokens[at], i, layers_.angle(i, tokens));
      if (row.trained[at + 1] == 0) continue;
      batch.predicting.push_back(base + i);
      batch.targets.push_back(row.tokens[at + 1]);
    }
    batch.end_segment();
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
  Mat flat(const Buffer& b) const { return Mat::f32(b.data(), 1, lora_.parameters); }
  std::span<const float> seen(const Buffer& b) const {
    return {ops_->seen(flat(b)), static_cast<std::size_t>(lora_.parameters)};
  }
  // After parameters have changed: the next gradient is of these.
  void take_over() {
    ops_->zero(flat(gradient_));
    linears_.use(flat(parameters_), flat(gradient_), nullptr);
    linears_.refresh();
  }
  const LayerActivations& activations_of(std::int64_t layer) const {
    const std::int64_t recomputed = config_.layers - plan_.kept_layers;
    return activations_[static_cast<std::size_t>(layer < recomputed ? plan_.kept_layers
                                                                    : layer - recomputed)];
  }
  Mat x(std::int64_t layer, const TrainBatch& batch) const {
    return Mat::f32(inputs_[static_cast<std::size_t>(layer)].data(), batch.T(), config_.hidden);
  }
  Ragged begin(const TrainBatch& batch) {
    ops_->enter();
    const bool drops = !batch.dropout_keys.empty();
    linears_.use(flat(parameters_), flat(gradient_),
                 drops ? ops_->placed(std::span(batch.dropout_keys)) : nullptr);
    return batch.placed(*ops_);
  }
  void forward(const TrainBatch& batch, const Ragged& rows) {
    layers_.embed(x(0, batch), ops_->placed(std::span(batch.tokens)));
    for (std::int64_t l = 0; l < config_.layers; ++l) forward(batch, rows, l);
  }
  void forward(const TrainBatch& batch, const Ragged& rows, std::int64_t l) {
    layers_.forward(x(l + 1, batch), activations_of(l), x(l, batch), l, rows, linears_);
  }
  double run(const TrainBatch& batch, float scale) {
    const std::int64_t L = config_.layers;
    const Ragged rows = begin(batch);
    const Mat dx = Mat::f32(dx_.data(), batch.T(), config_.hidden);
    forward(batch, rows);
    const double loss = head_.forward_backward(dx, x(L, batch), batch, scale);
    for (std::int64_t l = L - 1; l >= lora_.lowest_layer; --l) {
      if (l < L - plan_.kept_layers) forward(batch, rows, l);
      layers_.backward(dx, activations_of(l), x(l, batch), l, rows, linears_);
    }
    return loss;
  }

  std::unique_ptr<Ops> ops_;
  ProductChoice products_;
  ModelConfig config_;
  LoraLayout lora_;
  MemoryPlan plan_;
  Weights weights_;
  DevicePtr device_;
  std::int64_t longest_;
  std::uint64_t seed_;
  LoraLinears linears_;
  Layers layers_;
  LossHead head_;
  Buffer parameters_, gradient_, first_, second_, dx_;
  std::vector<Buffer> inputs_;  // of layer l; the last is the output of all
  std::vector<LayerActivations> activations_;
};
}  // namespace

// On a CPU the widest product of a layer is timed.
ProductChoice products_of(const EngineOptions& options, const ModelConfig& config, int threads) {
  const std::int64_t tokens = std::max(options.tokens_per_step, options.longest_row);
  const LinearShape shape = shape_of(config, Group::gate_up);
  if (options.device != nullptr) {
    const Products products = options.type == Type::f32 ? Products::fp32 : Products::device;
    return {
        products, 0,
        "products: " + std::string(name_of(products)) + ", computed on " + options.device->name};
  }
  if (options.type == Type::f32) return fp32_products(tokens, shape, threads);
  if (options.products)
    return {*options.products, 0, "products: " + std::string(name_of(*options.products))};
  return choose_products(tokens, shape, threads, options.as_before.products);
}

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
  const ProductChoice products = products_of(options, config, threads);
  const Type type = products.products == Products::fp32 ? Type::f32 : Type::bf16;
  MemoryRequest request{
      options.method,       options.tokens_per_step,  options.longest_row, threads,
      options.budget_bytes, options.as_before,        options.keeps_best,  options.data_bytes,
      type == Type::bf16,   options.device != nullptr};
  const bool has_memory = options.device != nullptr && options.device->free_bytes > 0;
  if (request.budget_bytes == 0)
    request.budget_bytes = (has_memory ? options.device->free_bytes : available_bytes()) / 10 * 9;
  MemoryPlan plan = TRY(plan_memory(config, lora, request));
  const std::int64_t scores = type == Type::bf16
                                  ? scores_to_train_bf16(options.longest_row, config.head_dim)
                                  : scores_to_train(options.longest_row);
  std::unique_ptr<Ops> ops;
  if (options.device != nullptr)
    ops = TRY(options.device->make(threads));
  else
    ops = make_cpu_ops(threads, scores, products.products);
  Weights weights = TRY(
      Weights::load(*ops, options.model_dir, config,
                    {&lora, options.method, type, plan.dequantised_cache, options.should_stop}));
  return std::unique_ptr<Engine>(
      std::make_unique<LoraEngine>(std::move(ops), products, std::move(config), std::move(lora),
                                   std::move(plan), std::move(weights), options));
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
