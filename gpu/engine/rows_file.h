// gpu/engine/rows_file.h - tokenised rows in one tensor file: what benchmarks and oracles exchange.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "gpu/engine/engine.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
// Rows laid end to end. trained[i] != 0: token i is a target.
struct RowsFile {
  std::vector<std::int32_t> tokens;
  std::vector<std::uint8_t> trained;
  std::vector<std::int64_t> starts;    // row r is [starts[r], starts[r + 1])
  std::string digest;                  // SHA-256 of all of it
  std::vector<TrainRow> rows() const;  // views into this
};
// Tensors rows.tokens (I32), rows.trained (U8), rows.lengths (I32). corrupt: they disagree.
Result<RowsFile> load_rows_file(const std::string& path);
}  // namespace kairo::gpu
