// gpu/model/lora_layout.cpp - offsets and the seeded initial values.
#include "gpu/model/lora_layout.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace kairo::gpu {
namespace {
std::uint64_t fnv1a64(const std::string& text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}
// The i-th value of Steele, Lea and Flood's generator that starts at `seed`.
std::uint64_t splitmix64(std::uint64_t seed, std::uint64_t i) {
  std::uint64_t z = seed + (i + 1) * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}
LoraGroup place_group(LoraLayout& layout, const ModelConfig& config, std::int64_t layer, Group g,
                      const std::array<bool, module_kinds>& adapted) {
  const LinearShape whole = shape_of(config, g);
  LoraGroup group;
  group.in = whole.in;
  group.out = whole.out;
  group.a_offset = layout.parameters;
  std::int64_t out_begin = 0;
  for (const Module m : modules_of(config, g)) {
    const LinearShape s = shape_of(config, m);
    if (adapted[index_of(m)]) {
      layout.modules.push_back({layer, m, module_path(config, layer, m), layout.rank, s.in, s.out,
                                layout.parameters, 0});
      group.parts.push_back({out_begin, s.out, group.rank_total, 0, m});
      group.rank_total += layout.rank;
      layout.parameters += layout.rank * s.in;
    }
    out_begin += s.out;
  }
  const std::size_t first = layout.modules.size() - group.parts.size();
  for (std::size_t i = 0; i < group.parts.size(); ++i) {
    group.parts[i].b_offset = layout.modules[first + i].b_offset = layout.parameters;
    layout.parameters += group.parts[i].out * layout.rank;
  }
  return group;
}
void set_strides(LoraLayout& layout) {
  for (const Group g : all_groups) {
    std::int64_t columns = 0;
    for (const auto& layer : layout.groups)
      columns = std::max(columns, layer[index_of(g)].in + layer[index_of(g)].rank_total);
    for (auto& layer : layout.groups) layer[index_of(g)].stride = (columns + 15) / 16 * 16;
  }
}
}  // namespace

std::int64_t widest_in(const LoraLayout& layout) {
  std::int64_t n = 0;
  for (const auto& group : layout.groups[0]) n = std::max(n, group.in);
  return n;
}

LoraLayout lay_out(const ModelConfig& config, std::int64_t rank, double scale,
                   const IsAdapted& is_adapted) {
  LoraLayout layout;
  layout.rank = rank;
  layout.scale = scale;
  layout.lowest_layer = -1;
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    std::array<bool, module_kinds> adapted{};
    for (const Module m : modules_of(config)) adapted[index_of(m)] = is_adapted(layer, m);
    layout.groups.emplace_back();
    for (const Group g : all_groups) {
      auto& group = layout.groups.back()[index_of(g)];
      group = place_group(layout, config, layer, g, adapted);
      if (layout.lowest_layer < 0 && !group.parts.empty()) {
        layout.lowest_layer = layer;
        layout.lowest_group = g;
      }
    }
  }
  set_strides(layout);
  return layout;
}

std::string last_not_finite(const LoraLayout& layout, std::span<const float> values) {
  const auto are_finite = [&](std::int64_t first, std::int64_t count) {
    const auto part =
        values.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
    return std::ranges::all_of(part, [](float value) { return std::isfinite(value); });
  };
  for (auto m = layout.modules.rbegin(); m != layout.modules.rend(); ++m)
    if (!are_finite(m->a_offset, m->rank * m->in) || !are_finite(m->b_offset, m->out * m->rank))
      return m->path;
  return {};
}

void initialise_lora(std::span<float> parameters, const LoraLayout& layout, std::uint64_t seed,
                     LoraInit init) {
  std::fill(parameters.begin(), parameters.end(), 0.0f);
  const auto unit = [](std::uint64_t z) { return static_cast<double>(z >> 40) / 16777216.0; };
  for (const auto& m : layout.modules) {
    const std::uint64_t start = fnv1a64(m.path) ^ seed;
    const double bound = 1.0 / std::sqrt(static_cast<double>(m.in));
    const auto values = parameters.subspan(static_cast<std::size_t>(m.a_offset),
                                           static_cast<std::size_t>(m.rank * m.in));
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (init == LoraInit::uniform) {
        values[i] = static_cast<float>((2.0 * unit(splitmix64(start, i)) - 1.0) * bound);
        continue;
      }
      const double radius = std::sqrt(-2 * std::log(1 - unit(splitmix64(start, 2 * i))));
      const double angle = 2 * std::numbers::pi * unit(splitmix64(start, 2 * i + 1));
      values[i] = static_cast<float>(radius * std::cos(angle) / static_cast<double>(m.rank));
    }
  }
}
}  // namespace kairo::gpu
