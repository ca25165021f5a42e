// gpu/model/rope_table.h - cosines and sines of the rotary position embedding.
#pragma once
#include <cstdint>
#include <vector>

#include "gpu/formats/model_config.h"

namespace kairo::gpu {
struct RopeTable {
  std::int64_t rows = 0, half = 0;  // half = rotary_dim / 2
  std::vector<float> cos, sin;      // (rows, half)
};
// Frequencies in fp32, as transformers computes them. half values. is_long: of longrope's long
// sequences.
std::vector<float> rope_frequencies(const RopeConfig& rope, std::int64_t rotary_dim,
                                    bool is_long = false);
enum class RopeOf : std::uint8_t { keys, queries };  // they differ where query_growth says so
// A row a position; where long sequences turn otherwise, behind them another row a position.
RopeTable make_rope_table(const RopeConfig& rope, std::int64_t rotary_dim, std::int64_t positions,
                          RopeOf whose = RopeOf::keys);
// Whether a sequence of so many tokens turns as long ones do.
bool is_long(const RopeConfig& rope, std::int64_t tokens);
}  // namespace kairo::gpu
