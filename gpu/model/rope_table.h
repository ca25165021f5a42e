// gpu/model/rope_table.h - cosines and sines of the rotary position embedding.
#pragma once
#include <cstdint>
#include <vector>

#include "gpu/formats/model_config.h"

namespace kairo::gpu {
struct RopeTable {
  std::int64_t positions = 0, half = 0;  // half = head_dim / 2
  std::vector<float> cos, sin;           // (positions, half)
};
// Frequencies in fp32, as transformers computes them. half values, descending.
std::vector<float> rope_frequencies(const RopeConfig& rope, std::int64_t head_dim);
RopeTable make_rope_table(const RopeConfig& rope, std::int64_t head_dim, std::int64_t positions);
}  // namespace kairo::gpu
