// gpu/engine/cpu_head.h - final norm, logits and cross entropy, only for tokens that predict a
// target.
#pragma once
#include <cstdint>
#include <vector>

#include "gpu/engine/buffer.h"
#include "gpu/engine/cpu_batch.h"
#include "gpu/engine/cpu_weights.h"
#include "gpu/formats/model_config.h"

namespace kairo::gpu {
class CpuHead {  // one caller at a time; config and weights must outlive it
 public:
  CpuHead(const ModelConfig& config, const CpuWeights& weights, std::int64_t rows);
  // x: (T, hidden), the last layer's output. Returns the sum of -log p over the batch's targets and
  // writes dx (T, hidden), the gradient of scale times that sum.
  double forward_backward(float* dx, const float* x, const CpuBatch& batch, float scale);
  // That sum alone.
  double forward(const float* x, const CpuBatch& batch);

 private:
  // The n tokens from the begin-th predicting one: their sum; logits_ become the gradient of scale
  // times it.
  double losses(const float* x, const CpuBatch& batch, std::int64_t begin, std::int64_t n,
                float scale);
  const ModelConfig& config_;
  const CpuWeights& weights_;
  std::int64_t rows_;  // at a time
  Buffer gathered_, normed_, dnormed_, dgathered_, logits_;
  std::vector<float> inverse_, loss_;
};
}  // namespace kairo::gpu
