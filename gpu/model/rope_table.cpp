// gpu/model/rope_table.cpp - plain, linear and llama3 frequencies.
#include "gpu/model/rope_table.h"

#include <cmath>
#include <numbers>

namespace kairo::gpu {
namespace {
// Long wavelengths are slowed by the factor, short ones kept, those between blended.
double llama3_frequency(double f, const RopeConfig& r) {
  const auto original = static_cast<double>(r.original_positions);
  const double wavelength = 2 * std::numbers::pi / f;
  if (wavelength < original / r.high_frequency_factor) return f;
  if (wavelength > original / r.low_frequency_factor) return f / r.factor;
  const double blend = (original / wavelength - r.low_frequency_factor) /
                       (r.high_frequency_factor - r.low_frequency_factor);
  return (1 - blend) * f / r.factor + blend * f;
}
}  // namespace

std::vector<float> rope_frequencies(const RopeConfig& rope, std::int64_t head_dim) {
  std::vector<float> out;
  for (std::int64_t i = 0; i < head_dim / 2; ++i) {
    const double exponent = static_cast<double>(2 * i) / static_cast<double>(head_dim);
    // fp32 power and reciprocal: the rounding decides the angle at far positions.
    const float power = std::pow(static_cast<float>(rope.theta), static_cast<float>(exponent));
    const float f = 1.0f / power;
    switch (rope.kind) {
      case RopeKind::plain:
        out.push_back(f);
        break;
      case RopeKind::linear:
        out.push_back(f / static_cast<float>(rope.factor));
        break;
      case RopeKind::llama3:
        out.push_back(static_cast<float>(llama3_frequency(static_cast<double>(f), rope)));
        break;
    }
  }
  return out;
}

RopeTable make_rope_table(const RopeConfig& rope, std::int64_t head_dim, std::int64_t positions) {
  const auto frequencies = rope_frequencies(rope, head_dim);
  RopeTable table{positions, head_dim / 2, {}, {}};
  table.cos.reserve(static_cast<std::size_t>(positions) * frequencies.size());
  table.sin.reserve(table.cos.capacity());
  for (std::int64_t p = 0; p < positions; ++p)
    for (const float f : frequencies) {
      const float angle = static_cast<float>(p) * f;
      table.cos.push_back(std::cos(angle));
      table.sin.push_back(std::sin(angle));
    }
  return table;
}
}  // namespace kairo::gpu
