// gpu/model/rope_table.cpp - the frequencies of each kind of scaling.
#include "gpu/model/rope_table.h"

#include <algorithm>
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
// yarn: how much of the unscaled frequency stays, 1 above the ramp and 0 below it. Its ends are the
// frequencies that turn so often within the original positions.
std::vector<float> kept_by_yarn(const RopeConfig& r, std::int64_t head_dim) {
  const double dim = static_cast<double>(head_dim);
  const auto place = [&](double turns) {
    const double positions = static_cast<double>(r.original_positions);
    return dim * std::log(positions / (turns * 2 * std::numbers::pi)) / (2 * std::log(r.theta));
  };
  double low = place(r.fast_turns), high = place(r.slow_turns);
  if (r.truncates) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1);
  if (low == high) high += 0.001;
  std::vector<float> out;
  for (std::int64_t i = 0; i < head_dim / 2; ++i) {
    const float ramp =
        (static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low);
    out.push_back(1.0f - std::clamp(ramp, 0.0f, 1.0f));
  }
  return out;
}
}  // namespace

std::vector<float> rope_frequencies(const RopeConfig& rope, std::int64_t head_dim, bool is_long) {
  std::vector<float> out, kept;
  if (rope.kind == RopeKind::yarn) kept = kept_by_yarn(rope, head_dim);
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
      case RopeKind::yarn: {
        const float share = kept[static_cast<std::size_t>(i)];
        const float slowed = 1.0f / (static_cast<float>(rope.factor) * power);
        out.push_back(slowed * (1 - share) + f * share);
        break;
      }
      case RopeKind::longrope: {
        const auto& factors = is_long ? rope.long_factors : rope.short_factors;
        out.push_back(1.0f / (static_cast<float>(factors[static_cast<std::size_t>(i)]) * power));
        break;
      }
    }
  }
  return out;
}

RopeTable make_rope_table(const RopeConfig& rope, std::int64_t rotary_dim, std::int64_t positions,
                          RopeOf whose) {
  RopeTable table;
  table.half = rotary_dim / 2;
  const auto strength_at = [&](std::int64_t position) {
    const auto strength = static_cast<float>(rope.strength);
    if (whose == RopeOf::keys || rope.query_growth == 0) return strength;
    const auto passed = static_cast<float>(position / rope.original_positions);
    return strength * (1.0f + static_cast<float>(rope.query_growth) * std::log(1.0f + passed));
  };
  const auto add = [&](bool is_long) {
    const auto frequencies = rope_frequencies(rope, rotary_dim, is_long);
    for (std::int64_t p = 0; p < positions; ++p) {
      const float strength = strength_at(p);
      for (const float f : frequencies) {
        const float angle = static_cast<float>(p) * f;
        table.cos.push_back(std::cos(angle) * strength);
        table.sin.push_back(std::sin(angle) * strength);
      }
    }
    table.rows += positions;
  };
  const bool turns = is_long(rope, positions);
  table.cos.reserve(static_cast<std::size_t>((turns ? 2 : 1) * positions * table.half));
  table.sin.reserve(table.cos.capacity());
  add(false);
  if (turns) add(true);
  return table;
}
bool is_long(const RopeConfig& rope, std::int64_t tokens) {
  return rope.kind == RopeKind::longrope && tokens > rope.original_positions;
}
}  // namespace kairo::gpu
