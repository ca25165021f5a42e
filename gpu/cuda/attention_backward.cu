// gpu/cuda/attention_backward.cu - the gradient of causal attention: once for the queries, row by
// row, once for keys and values, key by key, so that nothing is summed up by two blocks.
//   dV = P^T dO;  dP = dO V^T;  dS = P (dP - rowsum(dO O)) scale;  dQ = dS K;  dK = dS^T Q.
#include "gpu/cuda/attention.h"

namespace kairo::cuda {
namespace {
// What the second kernel wants of each (row, query head): log of the softmax's sum, rowsum(dO O).
struct RowSums {
  float* data;
  std::int64_t queries;
  __device__ __forceinline__ float* of(std::int64_t token, std::int64_t head) const {
    return data + 2 * (token * queries + head);
  }
};
// The gradient of the unscaled product of a query and a key, whose probability is p.
__device__ __forceinline__ float score_gradient(const Call& call, float score, float p, float dp,
                                                float delta) {
  const float d = p * (dp - delta) * call.heads.scale;
  return call.heads.cap > 0 ? d * softcap_slope(score, call.heads.cap) : d;
}
template <class T>
struct Inputs {
  View<const float> dout;
  View<const T> out, qkv;
};

template <class F, class T>
__global__ void __launch_bounds__(F::threads, F::at_once)
    query_gradients(View<float> dqkv, Inputs<T> in, RowSums sums, Call call) {
  __shared__ typename F::Rows queries;
  __shared__ typename F::Rows douts;
  __shared__ typename F::Tile tile;
  const Share s = share_of(call);
  const int vectors = s.rows * call.group, first = s.part * F::rows;
  if (first >= vectors) return;
  const int lane = static_cast<int>(threadIdx.x) % warp_lanes;
  const int first_row = static_cast<int>(threadIdx.x) / warp_lanes * F::each;
  fill<F>(queries, F::rows, F::dims, call.dim, [&](int i) {
    const Vector v = vector_of(call, s, first + i);
    return first + i < vectors ? in.qkv.row(s.begin + v.row) + call.query_at(v.head) : nullptr;
  });
  fill<F>(douts, F::rows, F::dims, call.dim, [&](int i) {
    const Vector v = vector_of(call, s, first + i);
    return first + i < vectors ? in.dout.row(s.begin + v.row) + v.head * call.dim : nullptr;
  });
  const int last = (first + F::rows < vectors ? first + F::rows : vectors) - 1;
  const int begin = call.first_key(first / call.group), end = last / call.group + 1;
  const auto fill_tile = [&](int at, std::int64_t column) {
    __syncthreads();  // who still reads what was there
    fill<F>(tile, warp_lanes, F::ld, call.dim,
            [&](int i) { return at + i < end ? in.qkv.row(s.begin + at + i) + column : nullptr; });
    __syncthreads();
  };
  const auto score_of = [&](int r, int at, float product) {
    const int m = first + first_row + r;
    return m < vectors && call.sees(m / call.group, at + lane) ? call.scored(product) : -INFINITY;
  };

  Softmax softmax[F::each];
  float products_of[F::each];
  for (int at = begin; at < end; at += warp_lanes) {
    fill_tile(at, call.key_at(s.head));
    products<F>(products_of, queries, tile, first_row, lane);
    float shrink = 1;
#pragma unroll
    for (int r = 0; r < F::each; ++r) softmax[r].take(score_of(r, at, products_of[r]), &shrink);
  }
  float logs[F::each], deltas[F::each];
#pragma unroll
  for (int r = 0; r < F::each; ++r) {
    const int m = first + first_row + r;
    const Vector v = vector_of(call, s, m);
    logs[r] = softmax[r].max + logf(softmax[r].sum);
    float delta = 0;
    if (m < vectors) {
      const T* out = in.out.row(s.begin + v.row) + v.head * call.dim;
      for (int d = lane; d < call.dim; d += warp_lanes)
        delta += douts.get((first_row + r) * F::dims + d) * value_of(out[d]);
    }
    deltas[r] = warp_sum(delta);
    if (m >= vectors || lane != 0) continue;
    sums.of(s.begin + v.row, v.head)[0] = logs[r];
    sums.of(s.begin + v.row, v.head)[1] = deltas[r];
  }

  float dq[F::each][F::steps] = {};
  for (int at = begin; at < end; at += warp_lanes) {
    fill_tile(at, call.key_at(s.head));
    products<F>(products_of, queries, tile, first_row, lane);
    fill_tile(at, call.value_at(s.head));
    float dp[F::each];
    products<F>(dp, douts, tile, first_row, lane);
    fill_tile(at, call.key_at(s.head));
#pragma unroll
    for (int r = 0; r < F::each; ++r) {
      const float score = score_of(r, at, products_of[r]);
      const float p = score == -INFINITY ? 0.0f : expf(score - logs[r]);
      mix_in<F>(dq[r], score_gradient(call, score == -INFINITY ? 0.0f : score, p, dp[r], deltas[r]),
                tile, lane);
    }
  }
#pragma unroll
  for (int r = 0; r < F::each; ++r) {
    const int m = first + first_row + r;
    if (m >= vectors) continue;
    const Vector v = vector_of(call, s, m);
    float* to = dqkv.row(s.begin + v.row) + call.query_at(v.head);
#pragma unroll
    for (int e = 0; e < F::steps; ++e)
      if (e * warp_lanes + lane < call.dim) to[e * warp_lanes + lane] = dq[r][e];
  }
}

// The block's rows are keys; its tiles are the vectors that see one of them.
template <class F, class T>
__global__ void __launch_bounds__(F::threads, F::at_once)
    key_gradients(View<float> dqkv, Inputs<T> in, RowSums sums, Call call) {
  __shared__ typename F::Rows keys;
  __shared__ typename F::Rows values;
  __shared__ typename F::Tile tile;
  const Share s = share_of(call);
  const int first = s.part * F::rows;
  if (first >= s.rows) return;
  const int lane = static_cast<int>(threadIdx.x) % warp_lanes;
  const int first_row = static_cast<int>(threadIdx.x) / warp_lanes * F::each;
  const auto own = [&](std::int64_t column) {
    return [=](int i) {
      return first + i < s.rows ? in.qkv.row(s.begin + first + i) + column : nullptr;
    };
  };
  fill<F>(keys, F::rows, F::dims, call.dim, own(call.key_at(s.head)));
  fill<F>(values, F::rows, F::dims, call.dim, own(call.value_at(s.head)));
  int seen = s.rows;  // by rows before this one
  if (call.window > 0 && first + F::rows - 1 < s.rows - call.window)
    seen = first + F::rows - 1 + call.window;
  const int end = seen * call.group;

  float dk[F::each][F::steps] = {}, dv[F::each][F::steps] = {};
  for (int at = first * call.group; at < end; at += warp_lanes) {
    const auto query_of = [&](int i) {
      const Vector v = vector_of(call, s, at + i);
      return at + i < end ? in.qkv.row(s.begin + v.row) + call.query_at(v.head) : nullptr;
    };
    const Vector mine = vector_of(call, s, at + lane);
    const bool is_there = at + lane < end;
    const float* row_sums = sums.of(s.begin + (is_there ? mine.row : 0), is_there ? mine.head : 0);
    const float log = row_sums[0], delta = row_sums[1];
    float scores[F::each], p[F::each], dp[F::each];
    __syncthreads();  // who still reads what was there
    fill<F>(tile, warp_lanes, F::ld, call.dim, query_of);
    __syncthreads();
    products<F>(scores, keys, tile, first_row, lane);
#pragma unroll
    for (int r = 0; r < F::each; ++r) {
      const int key = first + first_row + r;
      scores[r] = call.scored(scores[r]);
      p[r] = is_there && key < s.rows && call.sees(mine.row, key) ? expf(scores[r] - log) : 0.0f;
    }
    __syncthreads();
    fill<F>(tile, warp_lanes, F::ld, call.dim, [&](int i) {
      const Vector v = vector_of(call, s, at + i);
      return at + i < end ? in.dout.row(s.begin + v.row) + v.head * call.dim : nullptr;
    });
    __syncthreads();
    products<F>(dp, values, tile, first_row, lane);
#pragma unroll
    for (int r = 0; r < F::each; ++r) mix_in<F>(dv[r], p[r], tile, lane);
    __syncthreads();
    fill<F>(tile, warp_lanes, F::ld, call.dim, query_of);
    __syncthreads();
#pragma unroll
    for (int r = 0; r < F::each; ++r)
      mix_in<F>(dk[r], score_gradient(call, scores[r], p[r], dp[r], delta), tile, lane);
  }
#pragma unroll
  for (int r = 0; r < F::each; ++r) {
    const int key = first + first_row + r;
    if (key >= s.rows) continue;
    float* row = dqkv.row(s.begin + key);
#pragma unroll
    for (int e = 0; e < F::steps; ++e) {
      const int d = e * warp_lanes + lane;
      if (d >= call.dim) continue;
      row[call.key_at(s.head) + d] = dk[r][e];
      row[call.value_at(s.head) + d] = dv[r][e];
    }
  }
}
}  // namespace

extern "C" std::int32_t kairo_cuda_attention_backward(KairoMat dqkv, KairoMat dout, KairoMat out,
                                                      KairoMat qkv, KairoHeads heads,
                                                      KairoRagged rows, float* scratch,
                                                      void* stream) {
  Call call = {};
  if (!call_of(&call, heads, rows) || !is_qkv_of(qkv, heads, rows) ||
      !is_qkv_of(dqkv, heads, rows) || !is_out_of(out, heads, rows) ||
      !is_out_of(dout, heads, rows) || out.type != qkv.type || !are_f32(dqkv, dout))
    return kairo_cuda_unfit;
  return with_type(qkv.type, [&](auto type) {
    return with_form(call.dim, [&](auto form) {
      using T = decltype(type);
      using F = decltype(form);
      const Inputs<T> in = {view_of<const float>(dout), view_of<const T>(out),
                            view_of<const T>(qkv)};
      const RowSums sums = {scratch, heads.queries};
      const std::int64_t heads_of_all = rows.segments * heads.keys;
      call.tiles = static_cast<int>(parts_of(rows.longest * call.group, F::rows));
      const std::int32_t code =
          launch(query_gradients<F, T>, heads_of_all * call.tiles, dim3(F::threads), stream,
                 view_of<float>(dqkv), in, sums, call);
      if (code != 0) return code;
      call.tiles = static_cast<int>(parts_of(rows.longest, F::rows));
      return launch(key_gradients<F, T>, heads_of_all * call.tiles, dim3(F::threads), stream,
                    view_of<float>(dqkv), in, sums, call);
    });
  });
}
}  // namespace kairo::cuda
