// gpu/kernels/cached_attention.h - rows of queries against the keys and values of their sequence,
// the heads of a group together, so that keys and values are read once for them.
#pragma once
#include <cstdint>

namespace kairo::gpu {
// Rows of one sequence, and the query heads that share one head of keys and values. Row t of head h
// begins at q + t * ld_q + h * dim, and so does out.
struct CachedHeads {
  const float* q;
  std::int64_t ld_q;
  const float *k, *v;  // (past + rows, dim), dense
  float* out;
  std::int64_t ld_out;
  std::int64_t rows, group, past, dim;
  std::int64_t window;  // a row sees so many keys, its own among them; 0: all before it
  float scale, cap;     // as causal_softmax_cpu has them
  std::int64_t vectors() const { return rows * group; }
};
// Of the vectors of all rows, head by head within a row: these many at a time.
constexpr std::int64_t vectors_at_once = 48;
// Computes vectors [begin, begin + vectors_at_once) or as many as there are. Single-threaded:
// callers run parts in parallel. A row's bits do not depend on what other rows are computed with it
// (frozen_tiles.h).
void cached_attention_cpu(const CachedHeads& heads, std::int64_t begin, float* scratch);
// Floats of scratch for at most so many keys.
std::int64_t cached_attention_scratch(std::int64_t keys, std::int64_t dim);
}  // namespace kairo::gpu
