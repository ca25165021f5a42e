// gpu/cuda/attention.h - what attention's kernels share: which rows are a block's, tiles of others
// in shared memory, scores and what a row sees.
#pragma once
#include "gpu/cuda/device.h"

namespace kairo::cuda {
// A block has `rows` vectors, `each` a warp, and meets tiles of 32 others, one a lane. dims: the
// head's values, rounded up; 48 KiB of shared memory hold the rows twice and a tile.
template <int of_dims, int of_warps, int of_each>
struct Form {
  static constexpr int dims = of_dims, warps = of_warps, each = of_each, rows = warps * each;
  static constexpr int threads = warps * warp_lanes, steps = dims / warp_lanes;
  static constexpr int ld = dims + 1;  // of a tile: lanes read a column without waiting
  static constexpr int at_once = 2;    // blocks of a multiprocessor: more would cost registers
  using Rows = Shared<float, rows * dims>;
  using Tile = Shared<float, warp_lanes * ld>;
};
// Calls f with a form for heads of so many values.
template <class F>
std::int32_t with_form(std::int64_t dim, F f) {
  if (dim <= 0 || dim > 256) return kairo_cuda_unfit;
  if (dim <= 64) return f(Form<64, 8, 4>{});
  if (dim <= 128) return f(Form<128, 8, 2>{});
  return f(Form<256, 4, 1>{});
}

// Heads as ops.h has them, and the rows of all segments.
struct Call {
  KairoHeads heads;
  const std::int32_t *starts, *positions;
  int tiles;  // blocks for the longest segment
  int group, dim, window;
  __device__ __forceinline__ std::int64_t query_at(std::int64_t head) const {
    return (heads.interleaved ? head / group * (group + 2) + head % group : head) * dim;
  }
  __device__ __forceinline__ std::int64_t key_at(std::int64_t head) const {
    return (heads.interleaved ? head * (group + 2) + group : heads.queries + head) * dim;
  }
  __device__ __forceinline__ std::int64_t value_at(std::int64_t head) const {
    return key_at(head) + (heads.interleaved ? 1 : heads.keys) * dim;
  }
  __device__ __forceinline__ float scored(float product) const {
    const float x = heads.scale * product;
    return heads.cap > 0 ? softcap(x, heads.cap) : x;
  }
  // Whether the row at `position` sees the key there.
  __device__ __forceinline__ bool sees(int position, int key) const {
    return key <= position && (window == 0 || position - key < window);
  }
  // A multiple of 32: the first keys that the row at `position` sees are not before it.
  __device__ __forceinline__ int first_key(int position) const {
    return window == 0 || position < window ? 0 : (position + 1 - window) / warp_lanes * warp_lanes;
  }
};
// What a block works on: a part of the vectors (row, query head of the group) or of the keys of one
// segment and key head. Rows of a segment, and vectors, are counted in 32 bits: places in memory
// are not.
struct Share {
  int segment, head, rows, part;
  std::int64_t begin;
};
__device__ __forceinline__ Share share_of(const Call& call) {
  const int block = static_cast<int>(blockIdx.x), of_head = block / call.tiles;
  const int heads = static_cast<int>(call.heads.keys);
  Share s;
  s.part = block - of_head * call.tiles;
  s.segment = of_head / heads;
  s.head = of_head - s.segment * heads;
  s.begin = call.starts[s.segment];
  s.rows = call.starts[s.segment + 1] - call.starts[s.segment];
  return s;
}
// Vector m of a segment and key head.
struct Vector {
  int row, head;
};
__device__ __forceinline__ Vector vector_of(const Call& call, const Share& s, int m) {
  const int row = m / call.group;
  return {row, s.head * call.group + (m - row * call.group)};
}
inline bool call_of(Call* call, const KairoHeads& heads, const KairoRagged& rows) {
  if (heads.keys <= 0 || heads.queries <= 0 || heads.queries % heads.keys != 0 || heads.dim <= 0 ||
      rows.segments < 0 || rows.longest < 0 || heads.window < 0 ||
      rows.longest * (heads.queries / heads.keys) > 1 << 30)
    return false;
  constexpr std::int64_t widest = 1 << 30;  // no row sees so many keys
  *call = {heads,
           rows.starts,
           rows.positions,
           0,
           static_cast<int>(heads.queries / heads.keys),
           static_cast<int>(heads.dim),
           static_cast<int>(heads.window < widest ? heads.window : widest)};
  if (heads.scale <= 0) call->heads.scale = 1.0f / sqrtf(static_cast<float>(heads.dim));
  return true;
}
inline bool is_qkv_of(const KairoMat& qkv, const KairoHeads& h, const KairoRagged& rows) {
  return qkv.rows == rows.tokens && qkv.cols == (h.queries + 2 * h.keys) * h.dim;
}
inline bool is_out_of(const KairoMat& out, const KairoHeads& h, const KairoRagged& rows) {
  return out.rows == rows.tokens && out.cols == h.queries * h.dim;
}

// Fills rows or a tile: at(i) is where its i-th vector begins, null where there is none.
template <class F, class At, int count>
__device__ __forceinline__ void fill(Shared<float, count>& to, int vectors, int ld, int dim,
                                     At at) {
  for (int i = static_cast<int>(threadIdx.x); i < vectors * F::dims; i += F::threads) {
    const int vector = i / F::dims, d = i % F::dims;
    const auto* from = at(vector);
    to.set(vector * ld + d, from != nullptr && d < dim ? value_of(from[d]) : 0.0f);
  }
}
// Of each of the warp's rows with the lane's vector of the tile.
template <class F>
__device__ __forceinline__ void products(float (&sums)[F::each], typename F::Rows& rows,
                                         typename F::Tile& tile, int first_row, int lane) {
#pragma unroll
  for (int r = 0; r < F::each; ++r) sums[r] = 0;
#pragma unroll 8
  for (int d = 0; d < F::dims; ++d) {
    const float other = tile.get(lane * F::ld + d);
#pragma unroll
    for (int r = 0; r < F::each; ++r) sums[r] += rows.get((first_row + r) * F::dims + d) * other;
  }
}
// mix[e] += weight (each lane's own) times the lanes' vectors; a lane keeps the values 32 e + lane.
template <class F>
__device__ __forceinline__ void mix_in(float (&mix)[F::steps], float weight, typename F::Tile& tile,
                                       int lane) {
#pragma unroll 4
  for (int j = 0; j < warp_lanes; ++j) {
    const float w = __shfl_sync(all_lanes, weight, j);
#pragma unroll
    for (int e = 0; e < F::steps; ++e) mix[e] += w * tile.get(j * F::ld + e * warp_lanes + lane);
  }
}
// The softmax of a row so far.
struct Softmax {
  float max = -INFINITY, sum = 0;
  // Takes 32 scores in, a lane's each (-inf where it sees nothing): gives exp(score - max); *shrink
  // is what earlier ones shrink by.
  __device__ __forceinline__ float take(float score, float* shrink) {
    const float top = fmaxf(max, warp_max(score));
    if (top == -INFINITY) {
      *shrink = 1;
      return 0;
    }
    const float p = expf(score - top);
    *shrink = expf(max - top);
    sum = sum * *shrink + warp_sum(p);
    max = top;
    return p;
  }
};
}  // namespace kairo::cuda
