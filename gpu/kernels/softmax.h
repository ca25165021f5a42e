// gpu/kernels/softmax.h - the rows of causal attention: softmax over the past, forward and
// backward.
#pragma once
#include <cstdint>

namespace kairo::gpu {
// A block of query rows against `keys` keys of their sequence, one after the other. Row r may see
// the keys [0, first + r + 1), of which with a window the last `window` ones; the others are set to
// 0. Single-threaded: callers run heads in parallel.
struct CausalShape {
  std::int64_t rows, keys, first;  // first: keys before row 0's own; keys >= first + rows
  std::int64_t window = 0;         // 0: none
  std::int64_t begin(std::int64_t r) const {  // the first key that row r sees
    return window == 0 || first + r < window ? 0 : first + r + 1 - window;
  }
};
// scores: (rows, keys), dense, replaced by softmax(scale * scores); with a cap by that of
// cap tanh(scale * scores / cap).
void causal_softmax_cpu(float* scores, CausalShape s, float scale, float cap = 0);
// dp: (rows, keys), the gradient of the probabilities p, replaced by that of the unscaled scores.
//   delta[r] = sum_k dp[r][k] p[r][k], which equals dout . out of the row.
void causal_softmax_backward_cpu(float* dp, const float* p, const float* delta, CausalShape s,
                                 float scale);
// With a cap: dp, now the gradient of the unscaled scores but for the cap, times the cap's slope.
// scores: (rows, keys), unscaled.
void causal_cap_backward_cpu(float* dp, const float* scores, CausalShape s, float scale, float cap);
// Without a cap, with probabilities and the result in bf16 (bf16.h). scores, dp: fp32, scratch
// afterwards.
void causal_softmax_bf16_cpu(std::uint16_t* p, float* scores, CausalShape s, float scale);
void causal_softmax_backward_bf16_cpu(std::uint16_t* ds, const float* dp, const std::uint16_t* p,
                                      const float* delta, CausalShape s, float scale);
}  // namespace kairo::gpu
