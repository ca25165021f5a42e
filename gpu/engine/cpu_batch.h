// gpu/engine/cpu_batch.h - rows laid end to end: the padding-free batch that all layers see.
#pragma once
#include <cstdint>
#include <vector>

namespace kairo::gpu {
struct CpuBatch {
  std::vector<std::int32_t> tokens, positions;  // (T); positions restart at 0 with each segment
  std::vector<std::int64_t> starts;             // segment s is [starts[s], starts[s + 1])
  std::vector<std::int32_t> predicting;         // indices into tokens whose next token is a target
  std::vector<std::int32_t> targets;            // that next token
  std::vector<std::uint64_t> dropout_keys;      // (T); empty: nothing is dropped
  std::int64_t T() const { return static_cast<std::int64_t>(tokens.size()); }
  std::int64_t segments() const { return static_cast<std::int64_t>(starts.size()) - 1; }
};
}  // namespace kairo::gpu
