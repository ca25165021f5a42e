// gpu/kernels/adamw.h - AdamW with torch's semantics on flat fp32 buffers, and the gradient's norm.
#pragma once
#include <cstdint>

namespace kairo::gpu {
struct AdamwStep {
  float learning_rate, beta1, beta2, eps, weight_decay;
  std::int64_t step;     // 1 for the first update
  float gradient_scale;  // multiplies every gradient before it is used (clipping)
};
// p, g, m, v: n values each, no aliasing; p, m and v are updated. Decay is decoupled and comes
// first.
void adamw_cpu(float* p, const float* g, float* m, float* v, std::int64_t n, const AdamwStep& s);
// sqrt(sum g^2), summed in fixed blocks: the same value for every number of threads.
double norm_cpu(const float* g, std::int64_t n);
}  // namespace kairo::gpu
