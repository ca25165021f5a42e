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
  // What a batch's calls read besides x, on the device: placed once, before the layers run.
  struct Placed {
    const std::int32_t *from, *targets;
    std::int64_t count;
  };
  Placed placed(const TrainBatch& batch) const;
  // x: (T, hidden), the last layer's output. Writes dx (T, hidden), the gradient of scale times the
  // sum of -log p over the batch's targets.
  void forward_backward(const Mat& dx, const Mat& x, const Placed& batch, float scale);
  void forward(const Mat& x, const Placed& batch);
  // Those sums since the last time. The device is waited for here, and where more targets have come
  // than losses are kept of.
  double take_loss();

 private:
  // Which of the batch's predicting tokens are looked at together, and what is made of them.
  struct Chunk {
    const std::int32_t *from, *targets;
    Mat gathered, normed, inverse, logits, loss;
  };
  Chunk chunk_of(const Placed& batch, std::int64_t begin);
  // Returns the gradient of scale times the losses, in the head's type.
  Mat losses(const Chunk& c, const Mat& x, float scale);
  void look();  // takes the losses that are kept over
  Ops& ops_;
  const ModelConfig& config_;
  const Weights& weights_;
  std::int64_t rows_;      // at a time
  std::int64_t kept_ = 0;  // losses that nobody has looked at
  double sum_ = 0;         // of those before
  Buffer gathered_, normed_, dnormed_, dgathered_, logits_, inverse_, loss_;
};
}  // namespace kairo::gpu
