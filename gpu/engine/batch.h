// gpu/engine/batch.h - rows laid end to end: the padding-free batch that all layers see.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "gpu/engine/ops.h"

namespace kairo::gpu {
struct Batch {
  std::vector<std::int32_t> tokens, positions;  // (T); positions go on with each segment's rows
  std::vector<std::int32_t> angles;             // (T); rows of the rope table (rope_table.h)
  std::vector<std::int32_t> starts = {0};       // segment s is [starts[s], starts[s + 1])
  std::int64_t longest = 0;                     // rows of the longest segment
  void add(std::int32_t token, std::int32_t position, std::int32_t angle) {
    tokens.push_back(token);
    positions.push_back(position);
    angles.push_back(angle);
  }
  void end_segment() {
    starts.push_back(static_cast<std::int32_t>(tokens.size()));
    longest = std::max<std::int64_t>(longest, starts.back() - starts[starts.size() - 2]);
  }
  std::int64_t T() const { return static_cast<std::int64_t>(tokens.size()); }
  // As the device's calls take it; this must stay as it is until the round is over.
  Ragged placed(Ops& ops) const {
    return {ops.placed(std::span(starts)),
            ops.placed(std::span(positions)),
            static_cast<std::int64_t>(starts.size()) - 1,
            longest,
            T(),
            ops.placed(std::span(angles))};
  }
};
struct TrainBatch : Batch {
  std::vector<std::int32_t> predicting;     // indices into tokens whose next token is a target
  std::vector<std::int32_t> targets;        // that next token
  std::vector<std::uint64_t> dropout_keys;  // (T); empty: nothing is dropped
};
}  // namespace kairo::gpu
