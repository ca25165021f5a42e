// gpu/kernels/cross_entropy_cpu.cpp - the definition; a row's sum is taken in blocks, so that
// 49,152 fp32 terms lose no digits.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "gpu/kernels/bf16.h"
#include "gpu/kernels/cross_entropy.h"
#include "gpu/kernels/exp.h"
#include "gpu/kernels/tanh.h"
#include "gpu/kernels/wide.h"

namespace kairo::gpu {
namespace {
constexpr std::int64_t block = 1024;

KAIRO_WIDE float max_of(const float* row, std::int64_t V) {
  float max = row[0];
#pragma omp simd reduction(max : max)
  for (std::int64_t v = 0; v < V; ++v) max = row[v] > max ? row[v] : max;
  return max;
}
// The sum of exp(row - max), which replaces the row.
KAIRO_WIDE double exponentials(float* row, std::int64_t V, float max) {
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
  return sum;
}
// The row times share, in bf16 in the row's front half: behind what is still to be read.
void narrow_in_place(float* row, std::int64_t V, float share) {
  std::array<std::uint16_t, block> part;
  for (std::int64_t begin = 0; begin < V; begin += block) {
    const std::int64_t n = std::min(block, V - begin);
    narrow_cpu(part.data(), row + begin, n, share);
    std::memcpy(reinterpret_cast<char*>(row) + 2 * begin, part.data(),
                static_cast<std::size_t>(2 * n));
  }
}
}  // namespace

void cross_entropy_cpu(float* logits, float* loss, const std::int32_t* target, std::int64_t T,
                       std::int64_t V, float scale, float cap) {
  std::vector<float> slopes;  // of the cap, a row's
#pragma omp parallel for schedule(static) private(slopes)
  for (std::int64_t t = 0; t < T; ++t) {
    float* row = logits + t * V;
    if (cap > 0) {
      softcap_cpu(row, V, cap);
      slopes.resize(static_cast<std::size_t>(V));
      for (std::int64_t v = 0; v < V; ++v)
        slopes[static_cast<std::size_t>(v)] = softcap_slope_f32(row[v], cap);
    }
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
    if (cap > 0)
      for (std::int64_t v = 0; v < V; ++v) row[v] *= slopes[static_cast<std::size_t>(v)];
  }
}

void softcap_cpu(float* x, std::int64_t n, float cap) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) x[i] = softcap_f32(x[i], cap);
}

void cross_entropy_bf16_cpu(float* logits, float* loss, const std::int32_t* target, std::int64_t T,
                            std::int64_t V, float scale, float cap) {
#pragma omp parallel for schedule(static)
  for (std::int64_t t = 0; t < T; ++t) {
    float* row = logits + t * V;
    if (cap > 0) {
      cross_entropy_cpu(row, loss + t, target + t, 1, V, scale, cap);
      narrow_in_place(row, V, 1);
      continue;
    }
    const float aim = row[target[t]], max = max_of(row, V);
    const double sum = exponentials(row, V, max);
    loss[t] =
        static_cast<float>(std::log(sum) + static_cast<double>(max) - static_cast<double>(aim));
    if (scale == 0) continue;                   // only the loss is asked for
    row[target[t]] -= static_cast<float>(sum);  // scale (p - 1) = (exp - sum) scale / sum
    narrow_in_place(row, V, static_cast<float>(static_cast<double>(scale) / sum));
  }
}
}  // namespace kairo::gpu
