// gpu/engine/loss_head.cpp - a chunk of rows at a time: the full logits never exist.
#include "gpu/engine/loss_head.h"

#include <algorithm>

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
      loss_(ops.make(rows)) {}

LossHead::Chunk LossHead::chunk_of(const TrainBatch& batch, std::int64_t begin) const {
  const auto all = static_cast<std::int64_t>(batch.predicting.size());
  const std::int64_t n = std::min(rows_, all - begin), H = config_.hidden;
  const auto part = [&](const std::vector<std::int32_t>& of) {
    return ops_.placed(
        std::span(of).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(n)));
  };
  return {part(batch.predicting),           part(batch.targets),
          Mat::f32(gathered_.data(), n, H), Mat::of(weights_.type(), normed_.data(), n, H),
          Mat::f32(inverse_.data(), n, 1),  Mat::f32(logits_.data(), n, config_.vocab),
          Mat::f32(loss_.data(), n, 1)};
}

LossHead::Losses LossHead::losses(const Chunk& c, const Mat& x, float scale) {
  ops_.gather(c.gathered, x, c.from);
  norm(ops_, c.normed, c.inverse, c.gathered, weights_.final_norm(), config_.norm_eps);
  ops_.gemm(c.logits, c.normed, turned(matrix_of(weights_.head())), config_.logit_scale);
  const Mat dlogits =
      ops_.cross_entropy(c.logits, c.loss, c.targets, scale, weights_.type(), config_.logit_cap);
  const float* loss = ops_.seen(c.loss);
  double total = 0;
  for (std::int64_t i = 0; i < c.loss.rows; ++i) total += static_cast<double>(loss[i]);
  return {total, dlogits};
}

double LossHead::forward(const Mat& x, const TrainBatch& batch) {
  const auto count = static_cast<std::int64_t>(batch.predicting.size());
  double total = 0;
  for (std::int64_t begin = 0; begin < count; begin += rows_)
    total += losses(chunk_of(batch, begin), x, 0.0f).sum;
  return total;
}

double LossHead::forward_backward(const Mat& dx, const Mat& x, const TrainBatch& batch,
                                  float scale) {
  const auto count = static_cast<std::int64_t>(batch.predicting.size());
  ops_.zero(dx);
  double total = 0;
  for (std::int64_t begin = 0; begin < count; begin += rows_) {
    const Chunk c = chunk_of(batch, begin);
    const Losses of_chunk = losses(c, x, scale);
    total += of_chunk.sum;
    const Mat dnormed = Mat::f32(dnormed_.data(), c.logits.rows, config_.hidden);
    const Mat dgathered = Mat::f32(dgathered_.data(), c.logits.rows, config_.hidden);
    ops_.gemm(dnormed, of_chunk.dlogits, matrix_of(weights_.head()), config_.logit_scale);
    ops_.zero(dgathered);
    norm_backward(ops_, dgathered, dnormed, c.gathered, c.inverse, weights_.final_norm());
    ops_.scatter(dx, dgathered, c.from);
  }
  return total;
}
}  // namespace kairo::gpu
