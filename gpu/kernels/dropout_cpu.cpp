// gpu/kernels/dropout_cpu.cpp - the definition of the mask, and what it lets through.
#include <cmath>
#include <initializer_list>

#include "gpu/kernels/bf16.h"
#include "gpu/kernels/dropout.h"

namespace kairo::gpu {
namespace {
constexpr std::uint64_t golden_gamma = 0x9e3779b97f4a7c15;

std::uint64_t mix(std::uint64_t z) {  // of splitmix64
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}
// 64 bits of key on both sides of the first product: two tokens' masks are no shifts of each other.
struct Lanes {
  std::uint32_t low, high;
  Lanes(std::uint64_t key, std::int64_t module) {
    const std::uint64_t z = mix(key + static_cast<std::uint64_t>(module + 1) * golden_gamma);
    low = static_cast<std::uint32_t>(z);
    high = static_cast<std::uint32_t>(z >> 32);
  }
};
// The finaliser of MurmurHash3 in 32-bit lanes.
inline std::uint32_t hash(std::uint32_t i, const Lanes& k) {
  std::uint32_t h = i * 0x9e3779b9u + k.low;
  h = (h ^ (h >> 16)) * 0x85ebca6bu + k.high;
  h = (h ^ (h >> 13)) * 0xc2b2ae35u;
  return h ^ (h >> 16);
}
std::uint32_t threshold_of(double p) {
  return static_cast<std::uint32_t>(std::floor(p * 4294967296.0));
}
}  // namespace

std::uint64_t dropout_token_key(const DropoutStep& s, std::int64_t row, std::int64_t position) {
  std::uint64_t key = mix(s.seed + golden_gamma);
  for (const std::int64_t part : {s.step, row, position})
    key = mix(key + static_cast<std::uint64_t>(part + 1) * golden_gamma);
  return key;
}

bool dropout_keeps(const DropoutMask& mask, std::uint64_t key, std::int64_t i) {
  return hash(static_cast<std::uint32_t>(i), Lanes(key, mask.module)) >= threshold_of(mask.p);
}

namespace {
// put(out, x, factor): factor is 1 / (1 - p) where the feature stays, else 0.
template <class Value, class Put>
void each_dropped(Value* out, std::int64_t ld_out, const Value* x, std::int64_t ld_x,
                  const DropoutMask& mask, std::int64_t T, std::int64_t C, const Put& put) {
  const std::uint32_t threshold = threshold_of(mask.p);
  const auto scale = static_cast<float>(1 / (1 - mask.p));
#pragma omp parallel for schedule(static)
  for (std::int64_t t = 0; t < T; ++t) {
    const Lanes lanes(mask.keys[t], mask.module);
    const Value* from = x + t * ld_x;
    Value* to = out + t * ld_out;
    const auto columns = static_cast<std::uint32_t>(C);
#pragma omp simd
    for (std::uint32_t i = 0; i < columns; ++i)
      put(to[i], from[i], hash(i, lanes) >= threshold ? scale : 0.0f);  // for a product: no branch
  }
}
}  // namespace

void dropout_cpu(float* out, std::int64_t ld_out, const float* x, std::int64_t ld_x,
                 const DropoutMask& mask, std::int64_t T, std::int64_t C) {
  each_dropped(out, ld_out, x, ld_x, mask, T, C,
               [](float& to, float value, float factor) { to = value * factor; });
}

void dropout_bf16_cpu(std::uint16_t* out, std::int64_t ld_out, const std::uint16_t* x,
                      std::int64_t ld_x, const DropoutMask& mask, std::int64_t T, std::int64_t C) {
  each_dropped(out, ld_out, x, ld_x, mask, T, C,
               [](std::uint16_t& to, std::uint16_t value, float factor) {
                 to = bf16_of_float(float_of_bf16(value) * factor);
               });
}

void dropout_add_cpu(float* sum, std::int64_t ld_sum, const float* x, std::int64_t ld_x,
                     const DropoutMask& mask, std::int64_t T, std::int64_t C) {
  each_dropped(sum, ld_sum, x, ld_x, mask, T, C,
               [](float& to, float value, float factor) { to += value * factor; });
}
}  // namespace kairo::gpu
