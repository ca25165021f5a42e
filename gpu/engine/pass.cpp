// gpu/engine/pass.cpp - layer order and recomputation.
#include "gpu/engine/pass.h"

namespace kairo::gpu {
Pass::Pass(Ops& ops, const ModelConfig& config, const LoraLayout& lora, Weights& weights,
           const MemoryPlan& plan, std::int64_t longest)
    : ops_(ops),
      config_(config),
      lora_(lora),
      kept_layers_(plan.kept_layers),
      linears_(ops, lora, weights, plan.microbatch_tokens),
      layers_(ops, config, weights, longest + 1, plan.microbatch_tokens),
      head_(ops, config, weights, plan.head_rows),
      dx_(ops.make(plan.microbatch_tokens * config.hidden)) {
  for (std::int64_t l = 0; l <= config.layers; ++l)
    inputs_.push_back(ops.make(plan.microbatch_tokens * config.hidden));
  // Layers at the bottom are recomputed: their inputs stay, one set of buffers serves them all.
  const std::int64_t shared = kept_layers_ < config.layers ? 1 : 0;
  for (std::int64_t i = 0; i < kept_layers_ + shared; ++i)
    activations_.push_back(layers_.allocate(plan.microbatch_tokens, linears_, Activations::kept));
}

void Pass::take_over(const Mat& parameters, const Mat& gradient) {
  parameters_ = parameters;
  gradient_ = gradient;
  linears_.use(parameters, gradient, nullptr);
  linears_.refresh();
}

const LayerActivations& Pass::activations_of(std::int64_t layer) const {
  const std::int64_t recomputed = config_.layers - kept_layers_;
  return activations_[static_cast<std::size_t>(layer < recomputed ? kept_layers_
                                                                  : layer - recomputed)];
}
Mat Pass::x(std::int64_t layer, const TrainBatch& batch) const {
  return Mat::f32(inputs_[static_cast<std::size_t>(layer)].data(), batch.T(), config_.hidden);
}
Pass::Begun Pass::begin(const TrainBatch& batch) {
  ops_.enter();
  const bool drops = !batch.dropout_keys.empty();
  linears_.use(parameters_, gradient_,
               drops ? ops_.placed(std::span(batch.dropout_keys)) : nullptr);
  return {ops_.placed(std::span(batch.tokens)), batch.placed(ops_), head_.placed(batch)};
}
void Pass::forward(const TrainBatch& batch, const Begun& begun) {
  layers_.embed(x(0, batch), begun.tokens);
  for (std::int64_t l = 0; l < config_.layers; ++l) forward(batch, begun.rows, l);
}
void Pass::forward(const TrainBatch& batch, const Ragged& rows, std::int64_t l) {
  layers_.forward(x(l + 1, batch), activations_of(l), x(l, batch), l, rows, linears_);
}

void Pass::forward(const TrainBatch& batch) {
  const Begun begun = begin(batch);
  forward(batch, begun);
  head_.forward(x(config_.layers, batch), begun.head);
}
void Pass::forward_backward(const TrainBatch& batch, float scale) {
  const std::int64_t L = config_.layers;
  const Begun begun = begin(batch);
  const Mat dx = Mat::f32(dx_.data(), batch.T(), config_.hidden);
  forward(batch, begun);
  head_.forward_backward(dx, x(L, batch), begun.head, scale);
  for (std::int64_t l = L - 1; l >= lora_.lowest_layer; --l) {
    if (l < L - kept_layers_) forward(batch, begun.rows, l);
    layers_.backward(dx, activations_of(l), x(l, batch), l, begun.rows, linears_);
  }
}
}  // namespace kairo::gpu
