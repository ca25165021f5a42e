// gpu/engine/loss_head.cpp - a chunk of rows at a time: the full logits never exist.
#include "gpu/engine/loss_head.h"

#include <algorithm>
#include <utility>

#include "gpu/plan/losses_kept.h"

namespace kairo::gpu {
LossHead::LossHead(Ops& ops, const ModelConfig& config, const Weights& weights, std::int64_t rows)
    : ops_(ops),
      config_(config),
      weights_(weights),
      rows_(rows),
      gathered_(ops.make(rows * config.hidden)),
      normed_(ops.make(floats_of(weights.type(), rows * config.hidden))),
      dnormed_(ops.make(rows * config.hidden)),
      dgathered_(ops.make(rows * config.hidden)),
      logits_(ops.make(rows * config.vocab)),
      inverse_(ops.make(rows)),
      loss_(ops.make(losses_kept(rows))) {}

LossHead::Placed LossHead::placed(const TrainBatch& batch) const {
  return {ops_.placed(std::span(batch.predicting)), ops_.placed(std::span(batch.targets)),
          static_cast<std::int64_t>(batch.predicting.size())};
}

LossHead::Chunk LossHead::chunk_of(const Placed& batch, std::int64_t begin) {
  const std::int64_t n = std::min(rows_, batch.count - begin), H = config_.hidden;
  if (kept_ + n > losses_kept(rows_)) look();
  const Mat loss = Mat::f32(loss_.data() + kept_, n, 1);
  kept_ += n;
  return {batch.from + begin,
          batch.targets + begin,
          Mat::f32(gathered_.data(), n, H),
          Mat::of(weights_.type(), normed_.data(), n, H),
          Mat::f32(inverse_.data(), n, 1),
          Mat::f32(logits_.data(), n, config_.vocab),
          loss};
}

Mat LossHead::losses(const Chunk& c, const Mat& x, float scale) {
  ops_.gather(c.gathered, x, c.from);
  norm(ops_, c.normed, c.inverse, c.gathered, weights_.final_norm(), config_.norm_eps);
  ops_.gemm(c.logits, c.normed, turned(matrix_of(weights_.head())), config_.logit_scale);
  return ops_.cross_entropy(c.logits, c.loss, c.targets, scale, weights_.type(), config_.logit_cap);
}

void LossHead::look() {
  if (kept_ == 0) return;
  const float* loss = ops_.seen(Mat::f32(loss_.data(), kept_, 1));
  for (std::int64_t i = 0; i < kept_; ++i) sum_ += static_cast<double>(loss[i]);
  kept_ = 0;
}
double LossHead::take_loss() {
  look();
  return std::exchange(sum_, 0.0);
}

void LossHead::forward(const Mat& x, const Placed& batch) {
  for (std::int64_t begin = 0; begin < batch.count; begin += rows_)
    losses(chunk_of(batch, begin), x, 0.0f);
}

void LossHead::forward_backward(const Mat& dx, const Mat& x, const Placed& batch, float scale) {
  ops_.zero(dx);
  for (std::int64_t begin = 0; begin < batch.count; begin += rows_) {
    const Chunk c = chunk_of(batch, begin);
    const Mat dlogits = losses(c, x, scale);
    const Mat dnormed = Mat::f32(dnormed_.data(), c.logits.rows, config_.hidden);
    const Mat dgathered = Mat::f32(dgathered_.data(), c.logits.rows, config_.hidden);
    ops_.gemm(dnormed, dlogits, matrix_of(weights_.head()), config_.logit_scale);
    ops_.zero(dgathered);
    norm_backward(ops_, dgathered, dnormed, c.gathered, c.inverse, weights_.final_norm());
    ops_.scatter(dx, dgathered, c.from);
  }
}
}  // namespace kairo::gpu
