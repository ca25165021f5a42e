// gpu/cuda/attention.cu - causal attention over segments of rows, and over what a cache holds of
// them: the contracts of gpu/engine/ops.h. Heads of a group share tiles of keys and values. A row's
// bits depend on its own keys alone: tiles begin at multiples of 32 of them.
#include "gpu/cuda/attention.h"

namespace kairo::cuda {
namespace {
// Keys and values of the rows themselves.
template <class T>
struct OwnKeys {
  View<const T> qkv;
  struct Place {
    const T *keys, *values;
    std::int64_t ld;
    int past;
  };
  __device__ __forceinline__ Place of(const Call& c, const Share& s) const {
    const T* row = qkv.row(s.begin);
    return {row + c.key_at(s.head), row + c.value_at(s.head), qkv.ld, 0};
  }
};
// (slots, layers, key heads, context, dim): the past of the segment's slot, the rows behind it.
struct CachedKeys {
  KairoCache cache;
  std::int64_t layer;
  struct Place {
    const float *keys, *values;
    std::int64_t ld;
    int past;
  };
  __device__ __forceinline__ std::int64_t first(const Call& c, std::int64_t segment,
                                                std::int64_t head) const {
    return ((cache.slots[segment] * cache.layers + layer) * c.heads.keys + head) * cache.context *
           c.dim;
  }
  __device__ __forceinline__ Place of(const Call& c, const Share& s) const {
    const std::int64_t at = first(c, s.segment, s.head);
    return {cache.keys + at, cache.values + at, c.dim, c.positions[s.begin]};
  }
};
template <class F, class T, class Keys>
__global__ void __launch_bounds__(F::threads, F::at_once)
    attention_rows(View<T> out, View<const T> qkv, Keys keys, Call call) {
  __shared__ typename F::Rows queries;
  __shared__ typename F::Tile tile;
  const Share s = share_of(call);
  const int vectors = s.rows * call.group, first = s.part * F::rows;
  if (first >= vectors) return;
  const int lane = static_cast<int>(threadIdx.x) % warp_lanes;
  const int first_row = static_cast<int>(threadIdx.x) / warp_lanes * F::each;
  const auto place = keys.of(call, s);
  fill<F>(queries, F::rows, F::dims, call.dim, [&](int i) {
    const Vector v = vector_of(call, s, first + i);
    return first + i < vectors ? qkv.row(s.begin + v.row) + call.query_at(v.head) : nullptr;
  });
  const int last = (first + F::rows < vectors ? first + F::rows : vectors) - 1;
  const int end = place.past + last / call.group + 1;  // of the keys that one of the rows sees
  const int begin = call.first_key(place.past + first / call.group);

  Softmax softmax[F::each];
  float mix[F::each][F::steps] = {};
  for (int at = begin; at < end; at += warp_lanes) {
    const auto vector = [&](const auto* from) {
      return [=](int i) { return at + i < end ? from + (at + i) * place.ld : nullptr; };
    };
    __syncthreads();  // who still reads the values before
    fill<F>(tile, warp_lanes, F::ld, call.dim, vector(place.keys));
    __syncthreads();
    float weights[F::each];
    products<F>(weights, queries, tile, first_row, lane);
    __syncthreads();
    fill<F>(tile, warp_lanes, F::ld, call.dim, vector(place.values));
    __syncthreads();
#pragma unroll
    for (int r = 0; r < F::each; ++r) {
      const int m = first + first_row + r;
      const bool sees = m < vectors && call.sees(place.past + m / call.group, at + lane);
      float shrink = 1;
      const float p = softmax[r].take(sees ? call.scored(weights[r]) : -INFINITY, &shrink);
#pragma unroll
      for (int e = 0; e < F::steps; ++e) mix[r][e] *= shrink;
      mix_in<F>(mix[r], p, tile, lane);
    }
  }
#pragma unroll
  for (int r = 0; r < F::each; ++r) {
    const int m = first + first_row + r;
    if (m >= vectors) continue;
    const Vector v = vector_of(call, s, m);
    T* to = out.row(s.begin + v.row) + v.head * call.dim;
    const float inverse = 1.0f / softmax[r].sum;
#pragma unroll
    for (int e = 0; e < F::steps; ++e) {
      const int d = e * warp_lanes + lane;
      if (d < call.dim) to[d] = stored<T>(mix[r][e] * inverse);
    }
  }
}
// A cell is a value of one key head of one row; its segment is found by halves.
__global__ void __launch_bounds__(block_threads)
    append_cells(Cells cells, View<const float> qkv, CachedKeys to, Call call,
                 std::int64_t segments) {
  each_cell(cells, [&](std::int64_t t, std::int64_t c) {
    std::int64_t low = 0, high = segments;  // starts[low] <= t < starts[high]
    while (high - low > 1) {
      const std::int64_t middle = (low + high) / 2;
      if (call.starts[middle] <= t)
        low = middle;
      else
        high = middle;
    }
    const std::int64_t head = c / call.dim, d = c - head * call.dim, begin = call.starts[low];
    const std::int64_t at =
        to.first(call, low, head) + (call.positions[begin] + t - begin) * call.dim + d;
    to.cache.keys[at] = qkv.row(t)[call.key_at(head) + d];
    to.cache.values[at] = qkv.row(t)[call.value_at(head) + d];
  });
}
template <class T, class Keys>
std::int32_t launch_rows(const KairoMat& out, const KairoMat& qkv, const Keys& keys, Call call,
                         const KairoRagged& rows, void* stream) {
  return with_form(call.dim, [&](auto form) {
    using F = decltype(form);
    call.tiles = static_cast<int>(parts_of(rows.longest * call.group, F::rows));
    return launch(attention_rows<F, T, Keys>, rows.segments * call.heads.keys * call.tiles,
                  dim3(F::threads), stream, view_of<T>(out), view_of<const T>(qkv), keys, call);
  });
}
}  // namespace

extern "C" std::int32_t kairo_cuda_attention(KairoMat out, KairoMat qkv, KairoHeads heads,
                                             KairoRagged rows, void* stream) {
  Call call = {};
  if (!call_of(&call, heads, rows) || !is_qkv_of(qkv, heads, rows) ||
      !is_out_of(out, heads, rows) || out.type != qkv.type)
    return kairo_cuda_unfit;
  return with_type(qkv.type, [&](auto type) {
    using T = decltype(type);
    return launch_rows<T>(out, qkv, OwnKeys<T>{view_of<const T>(qkv)}, call, rows, stream);
  });
}

extern "C" std::int32_t kairo_cuda_cached_attention(KairoMat out, KairoMat qkv, KairoHeads heads,
                                                    KairoRagged rows, KairoCache cache,
                                                    std::int64_t layer, void* stream) {
  Call call = {};
  if (!call_of(&call, heads, rows) || !is_qkv_of(qkv, heads, rows) ||
      !is_out_of(out, heads, rows) || !are_f32(out, qkv) || heads.dim > 256)
    return kairo_cuda_unfit;
  const CachedKeys keys = {cache, layer};
  const std::int32_t code = launch_cells(append_cells, rows.tokens, heads.keys * heads.dim, stream,
                                         view_of<const float>(qkv), keys, call, rows.segments);
  if (code != 0) return code;
  return launch_rows<float>(out, qkv, keys, call, rows, stream);
}
}  // namespace kairo::cuda
