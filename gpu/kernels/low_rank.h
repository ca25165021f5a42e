// gpu/kernels/low_rank.h - the second half of adapters' products, for modules that lie side by
// side.
#pragma once
#include <cstdint>
#include <span>

namespace kairo::gpu {
// The columns of y that a module has.
struct LowRankPart {
  std::int64_t first, cols;
};
// y[t][p.first + c] += sum_r low[t][i rank + r] b[r][at + c] for part i, p, whose columns begin at
// `at` in b: the parts lie there one behind the other.
//   low: (T, parts * rank), stride ld_low   b: (rank, columns of all parts)   y: stride ld_y
// A row's bits are the same whatever rows are beside it.
struct LowRankShape {
  std::int64_t T, rank, ld_low, ld_y;
  std::span<const LowRankPart> parts;
};
void add_low_rank_cpu(float* y, const float* low, const float* b, const LowRankShape& s);
}  // namespace kairo::gpu
