// gpu/kernels/adamw_cpu.cpp - the definition: torch.optim.AdamW (no amsgrad), element by element.
#include <algorithm>
#include <cmath>
#include <vector>

#include "gpu/kernels/adamw.h"

namespace kairo::gpu {
void adamw_cpu(float* p, const float* g, float* m, float* v, std::int64_t n, const AdamwStep& s) {
  const auto step = static_cast<double>(s.step);
  const double correction1 = 1 - std::pow(static_cast<double>(s.beta1), step);
  const double correction2 = 1 - std::pow(static_cast<double>(s.beta2), step);
  const auto rate = static_cast<float>(static_cast<double>(s.learning_rate) / correction1);
  const auto root2 = static_cast<float>(std::sqrt(correction2));
  const float keep = 1.0f - s.learning_rate * s.weight_decay;
#pragma omp parallel for simd schedule(static)
  for (std::int64_t i = 0; i < n; ++i) {
    const float grad = g[i] * s.gradient_scale;
    m[i] = m[i] + (grad - m[i]) * (1.0f - s.beta1);
    v[i] = v[i] * s.beta2 + grad * grad * (1.0f - s.beta2);
    p[i] = p[i] * keep - rate * m[i] / (std::sqrt(v[i]) / root2 + s.eps);
  }
}

double norm_cpu(const float* g, std::int64_t n) {
  constexpr std::int64_t block = 1 << 14;
  const std::int64_t blocks = (n + block - 1) / block;
  std::vector<double> sums(static_cast<std::size_t>(blocks));
#pragma omp parallel for schedule(static)
  for (std::int64_t b = 0; b < blocks; ++b) {
    const std::int64_t end = std::min(n, (b + 1) * block);
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t i = b * block; i < end; ++i)
      sum += static_cast<double>(g[i]) * static_cast<double>(g[i]);
    sums[static_cast<std::size_t>(b)] = sum;
  }
  double total = 0;
  for (const double sum : sums) total += sum;
  return std::sqrt(total);
}
}  // namespace kairo::gpu
