// gpu/kernels/cross_entropy_cpu.cpp - the definition; a row's sum is taken in blocks, so that
// 49,152 fp32 terms lose no digits.
#include <algorithm>
#include <cmath>

#include "gpu/kernels/cross_entropy.h"
#include "gpu/kernels/exp.h"

namespace kairo::gpu {
namespace {
constexpr std::int64_t block = 1024;
}

void cross_entropy_cpu(float* logits, float* loss, const std::int32_t* target, std::int64_t T,
                       std::int64_t V, float scale) {
#pragma omp parallel for schedule(static)
  for (std::int64_t t = 0; t < T; ++t) {
    float* row = logits + t * V;
    const float aim = row[target[t]];
    float max = row[0];
#pragma omp simd reduction(max : max)
    for (std::int64_t v = 0; v < V; ++v) max = row[v] > max ? row[v] : max;
    double sum = 0;
    for (std::int64_t begin = 0; begin < V; begin += block) {
      const std::int64_t end = std::min(begin + block, V);
      float part = 0;
#pragma omp simd reduction(+ : part)
      for (std::int64_t v = begin; v < end; ++v) {
        row[v] = exp_f32(row[v] - max);
        part += row[v];
      }
      sum += static_cast<double>(part);
    }
    loss[t] =
        static_cast<float>(std::log(sum) + static_cast<double>(max) - static_cast<double>(aim));
    const auto share = static_cast<float>(static_cast<double>(scale) / sum);
#pragma omp simd
    for (std::int64_t v = 0; v < V; ++v) row[v] *= share;
    row[target[t]] -= scale;
  }
}
}  // namespace kairo::gpu
