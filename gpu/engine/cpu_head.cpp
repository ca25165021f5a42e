// gpu/engine/cpu_head.cpp - a chunk of rows at a time: the full logits never exist.
#include "gpu/engine/cpu_head.h"

#include <algorithm>

#include "gpu/engine/torch_cpu.h"
#include "gpu/kernels/cross_entropy.h"
#include "gpu/kernels/rmsnorm.h"

namespace kairo::gpu {
CpuHead::CpuHead(const ModelConfig& config, const CpuWeights& weights, std::int64_t rows)
    : config_(config),
      weights_(weights),
      rows_(rows),
      gathered_(rows * config.hidden),
      normed_(rows * config.hidden),
      dnormed_(rows * config.hidden),
      dgathered_(rows * config.hidden),
      logits_(rows * config.vocab),
      inverse_(static_cast<std::size_t>(rows)),
      loss_(static_cast<std::size_t>(rows)) {}

double CpuHead::losses(const float* x, const CpuBatch& batch, std::int64_t begin, std::int64_t n,
                       float scale) {
  const std::int64_t H = config_.hidden, V = config_.vocab;
  const std::int32_t* from = batch.predicting.data() + begin;
  for (std::int64_t i = 0; i < n; ++i) std::copy_n(x + from[i] * H, H, gathered_.data() + i * H);
  rmsnorm_cpu(normed_.data(), H, inverse_.data(), gathered_.data(),
              weights_.norm(2 * config_.layers), n, H, config_.norm_eps);
  gemm({false, true, n, V, H, normed_.data(), H, weights_.head(), H, logits_.data(), V});
  cross_entropy_cpu(logits_.data(), loss_.data(), batch.targets.data() + begin, n, V, scale);
  double total = 0;
  for (std::int64_t i = 0; i < n; ++i)
    total += static_cast<double>(loss_[static_cast<std::size_t>(i)]);
  return total;
}

double CpuHead::forward(const float* x, const CpuBatch& batch) {
  const auto count = static_cast<std::int64_t>(batch.predicting.size());
  double total = 0;
  for (std::int64_t begin = 0; begin < count; begin += rows_)
    total += losses(x, batch, begin, std::min(rows_, count - begin), 0.0f);
  return total;
}

double CpuHead::forward_backward(float* dx, const float* x, const CpuBatch& batch, float scale) {
  const std::int64_t H = config_.hidden, V = config_.vocab;
  const auto count = static_cast<std::int64_t>(batch.predicting.size());
  const float* norm = weights_.norm(2 * config_.layers);
  std::fill(dx, dx + batch.T() * H, 0.0f);
  double total = 0;
  for (std::int64_t begin = 0; begin < count; begin += rows_) {
    const std::int64_t n = std::min(rows_, count - begin);
    const std::int32_t* from = batch.predicting.data() + begin;
    total += losses(x, batch, begin, n, scale);
    gemm({false, false, n, H, V, logits_.data(), V, weights_.head(), H, dnormed_.data(), H});
    std::fill(dgathered_.data(), dgathered_.data() + n * H, 0.0f);
    rmsnorm_backward_cpu(dgathered_.data(), dnormed_.data(), H, gathered_.data(), inverse_.data(),
                         norm, n, H);
    for (std::int64_t i = 0; i < n; ++i)
      std::copy_n(dgathered_.data() + i * H, H, dx + from[i] * H);
  }
  return total;
}
}  // namespace kairo::gpu
