// tests/gpu/kernels/reference.h - seeded values and comparisons for kernels, defined in double
// precision.
#pragma once
#include <cmath>
#include <cstdint>
#include <vector>

namespace kairo::gpu::test {
// n values in [-scale, scale], the same on every machine.
inline std::vector<float> values(std::int64_t n, std::uint32_t seed, float scale = 1.0f) {
  std::vector<float> out(static_cast<std::size_t>(n));
  std::uint32_t state = seed * 2654435761u + 1;
  for (auto& v : out) {
    state = state * 1664525u + 1013904223u;
    v = (static_cast<float>(state >> 8) / 8388608.0f - 1.0f) * scale;
  }
  return out;
}
inline double at(const std::vector<float>& v, std::int64_t i) {
  return static_cast<double>(v[static_cast<std::size_t>(i)]);
}
// The largest |a - b| / (1 + |b|).
inline double error_of(const std::vector<float>& a, const std::vector<double>& b) {
  double largest = a.size() == b.size() ? 0 : INFINITY;
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) {
    const double e = std::fabs(static_cast<double>(a[i]) - b[i]) / (1 + std::fabs(b[i]));
    largest = std::isnan(e) ? INFINITY : std::max(largest, e);
  }
  return largest;
}
// f'(x[i]) for every i by central differences in double.
template <class F>
std::vector<double> slopes(const std::vector<float>& x, F f) {
  std::vector<double> point(x.begin(), x.end()), out;
  constexpr double h = 1e-5;
  for (auto& p : point) {
    const double kept = p;
    p = kept + h;
    const double above = f(point);
    p = kept - h;
    const double below = f(point);
    p = kept;
    out.push_back((above - below) / (2 * h));
  }
  return out;
}
}  // namespace kairo::gpu::test
