// gpu/kernels/softmax_cpu.cpp - the definition: subtract the maximum, exponentiate, normalise.
#include <algorithm>

#include "gpu/kernels/bf16.h"
#include "gpu/kernels/exp.h"
#include "gpu/kernels/softmax.h"
#include "gpu/kernels/tanh.h"
#include "gpu/kernels/wide.h"

namespace kairo::gpu {
namespace {
// The softmax of scale * row over its n values.
KAIRO_WIDE void softmax_row_bf16(std::uint16_t* p, float* row, std::int64_t n, float scale) {
  float max = row[0];
#pragma omp simd reduction(max : max)
  for (std::int64_t k = 0; k < n; ++k) max = row[k] > max ? row[k] : max;
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t k = 0; k < n; ++k) {
    row[k] = exp_f32(scale * (row[k] - max));
    sum += row[k];
  }
  const float inverse = 1.0f / sum;
#pragma omp simd
  for (std::int64_t k = 0; k < n; ++k) p[k] = bf16_of_float(row[k] * inverse);
}
KAIRO_WIDE void softmax_row_backward_bf16(std::uint16_t* ds, const float* dp,
                                          const std::uint16_t* p, std::int64_t n, float mean,
                                          float scale) {
#pragma omp simd
  for (std::int64_t k = 0; k < n; ++k)
    ds[k] = bf16_of_float(scale * float_of_bf16(p[k]) * (dp[k] - mean));
}
}  // namespace

void causal_softmax_cpu(float* scores, CausalShape s, float scale, float cap) {
  for (std::int64_t r = 0; r < s.rows; ++r) {
    float* row = scores + r * s.keys;
    const std::int64_t begin = s.begin(r), seen = s.first + r + 1;
    if (cap > 0) {
#pragma omp simd
      for (std::int64_t k = begin; k < seen; ++k) row[k] = softcap_f32(scale * row[k], cap);
    }
    const float factor = cap > 0 ? 1.0f : scale;
    float max = row[begin];
#pragma omp simd reduction(max : max)
    for (std::int64_t k = begin; k < seen; ++k) max = row[k] > max ? row[k] : max;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t k = begin; k < seen; ++k) {
      row[k] = exp_f32(factor * (row[k] - max));
      sum += row[k];
    }
    const float inverse = 1.0f / sum;
#pragma omp simd
    for (std::int64_t k = begin; k < seen; ++k) row[k] *= inverse;
    std::fill(row, row + begin, 0.0f);
    std::fill(row + seen, row + s.keys, 0.0f);
  }
}

void causal_softmax_backward_cpu(float* dp, const float* p, const float* delta, CausalShape s,
                                 float scale) {
  for (std::int64_t r = 0; r < s.rows; ++r) {
    float* g = dp + r * s.keys;
    const float *q = p + r * s.keys, mean = delta[r];
#pragma omp simd
    for (std::int64_t k = 0; k < s.keys; ++k) g[k] = scale * q[k] * (g[k] - mean);
  }
}

void causal_cap_backward_cpu(float* dp, const float* scores, CausalShape s, float scale,
                             float cap) {
#pragma omp simd
  for (std::int64_t i = 0; i < s.rows * s.keys; ++i)
    dp[i] *= softcap_slope_f32(softcap_f32(scale * scores[i], cap), cap);
}

void causal_softmax_bf16_cpu(std::uint16_t* p, float* scores, CausalShape s, float scale) {
  for (std::int64_t r = 0; r < s.rows; ++r) {
    const std::int64_t begin = s.begin(r), seen = s.first + r + 1;
    std::uint16_t* row = p + r * s.keys;
    softmax_row_bf16(row + begin, scores + r * s.keys + begin, seen - begin, scale);
    std::fill(row, row + begin, std::uint16_t{0});
    std::fill(row + seen, row + s.keys, std::uint16_t{0});
  }
}

void causal_softmax_backward_bf16_cpu(std::uint16_t* ds, const float* dp, const std::uint16_t* p,
                                      const float* delta, CausalShape s, float scale) {
  for (std::int64_t r = 0; r < s.rows; ++r)
    softmax_row_backward_bf16(ds + r * s.keys, dp + r * s.keys, p + r * s.keys, s.keys, delta[r],
                              scale);
}
}  // namespace kairo::gpu
