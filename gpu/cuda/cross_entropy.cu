// gpu/cuda/cross_entropy.cu - the loss of a row of logits and its gradient in their place:
// gpu/kernels/cross_entropy.h. A row is read twice; the full gradient never exists in both types.
#include "gpu/cuda/device.h"

namespace kairo::cuda {
namespace {
constexpr int threads = 512, each = 4;  // values of a thread between two barriers

struct Tally {  // of values seen so far: their maximum, the sum of exp(value - max)
  float max, sum;
};
__device__ __forceinline__ Tally join(Tally a, Tally b) {
  const float max = fmaxf(a.max, b.max);
  if (max == -INFINITY) return {max, 0.0f};
  return {max, a.sum * expf(a.max - max) + b.sum * expf(b.max - max)};
}
__device__ __forceinline__ Tally block_tally(Tally t, Shared<float, threads / warp_lanes>& maxima,
                                             Shared<float, threads / warp_lanes>& sums) {
#pragma unroll
  for (int apart = warp_lanes / 2; apart > 0; apart /= 2)
    t = join(t,
             {__shfl_xor_sync(all_lanes, t.max, apart), __shfl_xor_sync(all_lanes, t.sum, apart)});
  const int thread = static_cast<int>(threadIdx.x);
  if (thread % warp_lanes == 0) {
    maxima.set(thread / warp_lanes, t.max);
    sums.set(thread / warp_lanes, t.sum);
  }
  __syncthreads();
  t = {maxima.get(0), sums.get(0)};
#pragma unroll
  for (int w = 1; w < threads / warp_lanes; ++w) t = join(t, {maxima.get(w), sums.get(w)});
  return t;
}
// Out: what the gradient becomes, from the front of the row's memory.
template <class Out>
__global__ void __launch_bounds__(threads)
    cross_entropy_rows(View<float> logits, float* loss, const std::int32_t* targets, std::int64_t V,
                       float scale, float cap, bool with_gradient) {
  __shared__ Shared<float, threads / warp_lanes> maxima;
  __shared__ Shared<float, threads / warp_lanes> sums;
  const std::int64_t t = blockIdx.x, target = targets[t];
  float* row = logits.row(t);
  const auto capped = [&](float x) { return cap > 0 ? softcap(x, cap) : x; };
  const float aim = capped(row[target]);  // before the barrier behind which it is overwritten
  Tally tally = {-INFINITY, 0.0f};
  for (std::int64_t v = threadIdx.x; v < V; v += threads) {
    const float x = capped(row[v]);
    if (x > tally.max) {
      tally.sum = tally.sum * expf(tally.max - x) + 1.0f;
      tally.max = x;
    } else {
      tally.sum += expf(x - tally.max);
    }
  }
  tally = block_tally(tally, maxima, sums);
  if (threadIdx.x == 0) loss[t] = logf(tally.sum) + (tally.max - aim);
  if (!with_gradient) return;
  const float share = scale / tally.sum;
  Out* out = reinterpret_cast<Out*>(row);
  for (std::int64_t begin = 0; begin < V; begin += threads * each) {
    float gradient[each];
#pragma unroll
    for (int k = 0; k < each; ++k) {
      const std::int64_t v = begin + k * threads + threadIdx.x;
      if (v >= V) continue;
      const float x = capped(row[v]);
      gradient[k] = share * expf(x - tally.max) - (v == target ? scale : 0.0f);
      if (cap > 0) gradient[k] *= softcap_slope(x, cap);
    }
    // What is narrower lies before what is still to be read, but within what others read now.
    if (sizeof(Out) < sizeof(float)) __syncthreads();
#pragma unroll
    for (int k = 0; k < each; ++k) {
      const std::int64_t v = begin + k * threads + threadIdx.x;
      if (v < V) out[v] = stored<Out>(gradient[k]);
    }
  }
}
}  // namespace

extern "C" std::int32_t kairo_cuda_cross_entropy(KairoMat logits, KairoMat loss,
                                                 const std::int32_t* targets, float scale,
                                                 std::int32_t type, float cap, void* stream) {
  if (!are_f32(logits, loss) || loss.rows != logits.rows || loss.cols != 1 || !is_dense(loss) ||
      logits.cols <= 0)
    return kairo_cuda_unfit;
  return with_type(type, [&](auto of) {
    using Out = decltype(of);
    return launch(cross_entropy_rows<Out>, logits.rows, dim3(threads), stream,
                  view_of<float>(logits), static_cast<float*>(loss.data), targets, logits.cols,
                  scale, cap, type == kairo_f32 || scale != 0);
  });
}
}  // namespace kairo::cuda
