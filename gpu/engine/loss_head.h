// gpu/engine/loss_head.h - final norm, logits and cross entropy, only for tokens that predict a
// target.
#pragma once
#include <cstdint>

#include "gpu/engine/batch.h"
#include "gpu/engine/ops.h"
#include "gpu/engine/weights.h"
#include "gpu/formats/model_config.h"

namespace kairo::gpu {
class LossHead {  // one caller at a time; the references must outlive it
 public:
  LossHead(Ops& ops, const ModelConfig& config, const Weights& weights, std::int64_t rows);
  // x: (T, hidden), the last layer's output. Returns the sum of -log p over the batch's targets and
  // writes dx (T, hidden), the gradient of scale times that sum.
  double forward_backward(const Mat& dx, const Mat& x, const TrainBatch& batch, float scale);
  // That sum alone.
  double forward(const Mat& x, const TrainBatch& batch);

 private:
  // Which of the batch's predicting tokens are looked at together, and what is made of them.
  struct Chunk {
    const std::int32_t *from, *targets;
    Mat gathered, normed, inverse, logits, loss;
  };
  struct Losses {
    double sum;   // of -log p
    Mat dlogits;  // the gradient of scale times it, in the head's type
  };
  Chunk chunk_of(const TrainBatch& batch, std::int64_t begin) const;
  Losses losses(const Chunk& c, const Mat& x, float scale);
  Ops& ops_;
  const ModelConfig& config_;
  const Weights& weights_;
  std::int64_t rows_;  // at a time
  Buffer gathered_, normed_, dnormed_, dgathered_, logits_, inverse_, loss_;
};
}  // namespace kairo::gpu
