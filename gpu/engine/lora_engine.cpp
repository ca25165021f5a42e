// gpu/engine/lora_engine.cpp - a step: rows as batches, the optimizer; and what is done where its
// memory is too little.
#include <algorithm>
#include <optional>
#include <utility>

#include "gpu/engine/engine.h"
#include "gpu/engine/engine_request.h"
#include "gpu/engine/pass.h"
#include "gpu/engine/torch_cpu.h"
#include "gpu/engine/train_rows.h"
#include "gpu/model/lora_choice.h"
#include "gpu/plan/attention_rows.h"
#include "schemas/base/log.h"

namespace kairo::gpu {
namespace {
class LoraEngine final : public Engine {
 public:
  // Its memory is there, but for what a plan says: start() takes that.
  LoraEngine(std::unique_ptr<Ops> ops, ProductChoice products, ModelConfig config, LoraLayout lora,
             MemoryRequest request, MemoryPlan plan, Weights weights, const EngineOptions& options)
      : ops_(std::move(ops)),
        products_(std::move(products)),
        config_(std::move(config)),
        lora_(std::move(lora)),
        request_(std::move(request)),
        plan_(std::move(plan)),
        weights_(std::move(weights)),
        device_(options.device),
        longest_(options.longest_row),
        seed_(options.seed),
        limits_(request_.limits),
        ranks_(options.ranks),
        gradient_(ops_->make(lora_.parameters)),
        first_(ops_->make(lora_.parameters)),
        second_(ops_->make(lora_.parameters)) {
    Buffer start(lora_.parameters);
    initialise_lora(start.span(), lora_, options.seed, options.init);
    parameters_ = ops_->adopt(std::move(start));
    for (const Buffer* b : {&gradient_, &first_, &second_}) ops_->zero(flat(*b));
  }
  // The plan's own memory; where the device has not even that, the next plan's.
  void start() {
    if (const auto failed = take_memory()) step_down(*failed);
  }

  Result<double> accumulate(std::span<const TrainRow> rows, std::int64_t targets_in_step,
                            std::int64_t step) override {
    const float scale = 1.0f / static_cast<float>(std::max<std::int64_t>(targets_in_step, 1));
    std::optional<DropoutStep> dropout;
    if (lora_.dropout > 0) dropout = DropoutStep{seed_, step};
    return in_batches(rows, dropout,
                      [&](const TrainBatch& batch) { pass_->forward_backward(batch, scale); });
  }
  Result<double> evaluate(std::span<const TrainRow> rows) override {
    return in_batches(rows, std::nullopt,
                      [&](const TrainBatch& batch) { return pass_->forward(batch); });
  }

  double update(const Update& u, std::int64_t step) override {
    if (ranks_ != nullptr) sum_gradients();
    if (copy_ != nullptr) copy_->finish_first();
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
  StateCopyPtr copy_state() override {
    if (copy_ == nullptr) copy_ = std::make_shared<StateOnHost>(*ops_, lora_.parameters);
    copy_->begin(*ops_, {flat(parameters_), flat(first_), flat(second_)});
    return copy_;
  }
  std::span<const float> gradient() const override { return seen(gradient_); }

  void step_down(const std::string& why) override {
    for (;;) {
      auto next = smaller_plan(config_, lora_, request_, plan_);
      if (!next)
        throw DeviceFailure(true, why + "; the smallest plan is tried: " + needs_of(plan_));
      note_ = "too little memory: " + why + "; from now on " + change_of(plan_, *next);
      plan_ = std::move(*next);
      limits_ = {plan_.kept_layers, plan_.cached_layers};
      if (!take_memory()) return;
    }
  }
  std::string memory_note() const override { return note_; }

  Status restore(const CheckpointBuffers& s) override {
    const auto size = static_cast<std::size_t>(lora_.parameters);
    for (const auto part : {s.parameters, s.first_moment, s.second_moment})
      if (part.size() != size)
        return Error{Code::invalid, "restore: the checkpoint has " + std::to_string(part.size()) +
                                        " values, the adapter " + std::to_string(size)};
    if (copy_ != nullptr) copy_->finish_first();
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
  PlanLimits limits() const override { return limits_; }
  const ProductChoice& products() const override { return products_; }
  ComputeShape shape() const override {
    ComputeShape out = plan_.shape();
    out.products = name_of(products_.products);
    if (ranks_ != nullptr) out.ranks = ranks_->count();
    out.instruction_set = device_ == nullptr ? instruction_set() : device_->name;
    out.library = library();
    return out;
  }

 private:
  // Runs what may find too little memory; why, if a rank has found so.
  template <class Run>
  std::optional<std::string> out_of_memory(const Run& run) {
    std::optional<std::string> why;
    try {
      run();
    } catch (const DeviceFailure& failure) {
      if (!failure.is_memory) throw;
      why = failure.what();
    }
    if (ranks_ != nullptr && ranks_->anyone(why.has_value()) && !why)
      why = "another process of the run found its device's too little";
    return why;
  }
  // What the plan says, and the parameters there.
  std::optional<std::string> take_memory() {
    return out_of_memory([&] {
      pass_.reset();
      weights_.keep_decoded(plan_.cached_layers);
      pass_ = std::make_unique<Pass>(*ops_, config_, lora_, weights_, plan_, longest_);
      take_over();
    });
  }
  // The sum of what run_batch returns for as few batches as the plan allows, over all ranks.
  template <class RunBatch>
  Result<double> in_batches(std::span<const TrainRow> rows,
                            const std::optional<DropoutStep>& dropout, const RunBatch& run_batch) {
    for (const auto& row : rows) TRY(check_row(row, config_, longest_));
    double loss = 0;
    const auto why = out_of_memory([&] { loss = of_own_rows(rows, dropout, run_batch); });
    if (why) throw DeviceFailure(true, *why);
    if (ranks_ != nullptr) ranks_->sum(std::span(&loss, 1));
    return loss;
  }
  template <class RunBatch>
  double of_own_rows(std::span<const TrainRow> rows, const std::optional<DropoutStep>& dropout,
                     const RunBatch& run_batch) {
    std::vector<std::int64_t> tokens;
    for (const auto& row : rows) tokens.push_back(inputs_of(row));
    const std::vector<int> whose = shares(tokens, ranks_ == nullptr ? 1 : ranks_->count());
    const int own = ranks_ == nullptr ? 0 : ranks_->rank();
    TrainBatch batch;
    for (std::size_t r = 0; r < rows.size(); ++r) {
      const std::int64_t inputs = tokens[r];
      if (inputs == 0 || whose[r] != own) continue;
      if (batch.T() + inputs > plan_.microbatch_tokens) {
        run_batch(batch);
        batch = {};
      }
      append_row(batch, rows[r], inputs, pass_->layers());
      for (std::int64_t i = 0; dropout && i < inputs; ++i)
        batch.dropout_keys.push_back(dropout_token_key(*dropout, static_cast<std::int64_t>(r), i));
    }
    if (batch.T() > 0) run_batch(batch);
    return pass_->take_loss();
  }
  // Of all ranks, through the host.
  void sum_gradients() {
    const auto own = seen(gradient_);
    sums_.assign(own.begin(), own.end());
    ranks_->sum(sums_);
    ops_->enter();
    ops_->copy(flat(gradient_),
               Mat::f32(const_cast<float*>(ops_->placed(std::span<const float>(sums_))), 1,
                        lora_.parameters));
  }
  Mat flat(const Buffer& b) const { return Mat::f32(b.data(), 1, lora_.parameters); }
  std::span<const float> seen(const Buffer& b) const {
    return {ops_->seen(flat(b)), static_cast<std::size_t>(lora_.parameters)};
  }
  // After parameters have changed: the next gradient is of these.
  void take_over() {
    ops_->zero(flat(gradient_));
    pass_->take_over(flat(parameters_), flat(gradient_));
  }

  std::unique_ptr<Ops> ops_;
  ProductChoice products_;
  ModelConfig config_;
  LoraLayout lora_;
  MemoryRequest request_;
  MemoryPlan plan_;
  Weights weights_;
  DevicePtr device_;
  std::int64_t longest_;
  std::uint64_t seed_;
  PlanLimits limits_;
  std::string note_;
  RanksPtr ranks_;
  std::vector<float> sums_;            // of the ranks' gradients
  std::shared_ptr<StateOnHost> copy_;  // the last one
  Buffer parameters_, gradient_, first_, second_;
  std::unique_ptr<Pass> pass_;
};
// The weights, without a cache where a rank's device has no memory for it.
Result<Weights> load_weights(Ops& ops, const EngineOptions& options, const ModelConfig& config,
                             const LoraLayout& lora, Type type, MemoryRequest& request,
                             MemoryPlan& plan) {
  const auto load = [&] {
    return Weights::load(ops, options.model_dir, config,
                         {&lora, options.method, type, plan.cached_layers, options.should_stop});
  };
  if (plan.cached_layers == 0) return load();
  bool is_short = false;
  std::optional<Result<Weights>> loaded;
  try {
    loaded = load();
    if (!loaded->ok()) return loaded->error();
  } catch (const DeviceFailure& failure) {
    if (!failure.is_memory) throw;
    log::warn("NF4 weights are not kept decoded: " + std::string(failure.what()));
    is_short = true;
  }
  if (options.ranks != nullptr) is_short = options.ranks->anyone(is_short);
  if (!is_short) return std::move(*loaded);
  loaded.reset();
  request.limits.cached_layers = 0;
  plan = TRY(plan_memory(config, lora, request));
  return load();
}
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
  const int threads = threads_of(options);
  ProductChoice products = products_of(options, config, threads);
  if (options.ranks != nullptr)  // rank 0's
    products.products = static_cast<Products>(options.ranks->least(
        options.ranks->rank() == 0 ? static_cast<std::int64_t>(products.products) : INT64_MAX));
  const Type type = products.products == Products::fp32 ? Type::f32 : Type::bf16;
  MemoryRequest request = memory_request(options, type, threads);
  if (options.ranks != nullptr) request.budget_bytes = options.ranks->least(request.budget_bytes);
  MemoryPlan plan = TRY(plan_memory(config, lora, request));
  const std::int64_t scores = type == Type::bf16
                                  ? scores_to_train_bf16(options.longest_row, config.head_dim)
                                  : scores_to_train(options.longest_row);
  std::unique_ptr<Ops> ops;
  if (options.device != nullptr)
    ops = TRY(options.device->make(threads));
  else
    ops = make_cpu_ops(threads, scores, products.products);
  Weights weights = TRY(load_weights(*ops, options, config, lora, type, request, plan));
  auto engine = std::make_unique<LoraEngine>(std::move(ops), products, std::move(config),
                                             std::move(lora), std::move(request), std::move(plan),
                                             std::move(weights), options);
  engine->start();
  return std::unique_ptr<Engine>(std::move(engine));
}
}  // namespace kairo::gpu
