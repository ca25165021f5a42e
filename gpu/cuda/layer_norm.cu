// gpu/cuda/layer_norm.cu - norms by mean and deviation: gpu/kernels/layernorm.h. The variance is
// that of the differences, as there.
#include "gpu/cuda/device.h"

namespace kairo::cuda {
namespace {
template <int team>
__device__ __forceinline__ float mean_of(const float* in, std::int64_t C,
                                         Shared<float, block_threads / warp_lanes>& parts) {
  float sum = 0;
  for (std::int64_t c = threadIdx.x; c < C; c += team) sum += in[c];
  return team_sum<team>(sum, parts) / static_cast<float>(C);
}
template <class Out, int team>
__global__ void __launch_bounds__(block_threads)
    layer_norm_rows(View<Out> out, float* inverse, View<const float> x, const float* weight,
                    const float* bias, std::int64_t T, std::int64_t C, float eps) {
  __shared__ Shared<float, block_threads / warp_lanes> parts;
  const std::int64_t t = team_index<team>();
  if (t >= T) return;
  const float* in = x.row(t);
  const float mean = mean_of<team>(in, C, parts);
  float sum = 0;
  for (std::int64_t c = threadIdx.x; c < C; c += team) sum += (in[c] - mean) * (in[c] - mean);
  sum = team_sum<team>(sum, parts);
  const float scale = 1.0f / sqrtf(sum / static_cast<float>(C) + eps);
  if (threadIdx.x == 0) inverse[t] = scale;
  Out* to = out.row(t);
  for (std::int64_t c = threadIdx.x; c < C; c += team)
    to[c] = stored<Out>((in[c] - mean) * scale * weight[c] + bias[c]);
}
// With u = dout * weight and n = (x - mean) * inverse: dx += inverse * (u - mean(u) - n mean(u n)).
template <int team>
__global__ void __launch_bounds__(block_threads)
    layer_norm_rows_backward(View<float> dx, View<const float> dout, View<const float> x,
                             const float* inverse, const float* weight, std::int64_t T,
                             std::int64_t C) {
  __shared__ Shared<float, block_threads / warp_lanes> parts;
  const std::int64_t t = team_index<team>();
  if (t >= T) return;
  const float *in = x.row(t), *g = dout.row(t);
  const float mean = mean_of<team>(in, C, parts), scale = inverse[t];
  float sum = 0, dot = 0;
  for (std::int64_t c = threadIdx.x; c < C; c += team) {
    const float u = g[c] * weight[c];
    sum += u;
    dot += u * (in[c] - mean);
  }
  const float shift = team_sum<team>(sum, parts) / static_cast<float>(C);
  const float shrink = team_sum<team>(dot, parts) * scale * scale / static_cast<float>(C);
  float* to = dx.row(t);
  for (std::int64_t c = threadIdx.x; c < C; c += team)
    to[c] += scale * (g[c] * weight[c] - shift - (in[c] - mean) * shrink);
}
bool fits(const KairoMat& x, const KairoMat& inverse, const KairoMat& weight) {
  return are_f32(x, weight) && is_f32(inverse) && weight.cols == x.cols && inverse.rows == x.rows &&
         inverse.cols == 1 && is_dense(inverse);
}
}  // namespace

extern "C" std::int32_t kairo_cuda_layer_norm(KairoMat out, KairoMat inverse, KairoMat x,
                                              KairoMat weight, KairoMat bias, float eps,
                                              void* stream) {
  if (!fits(x, inverse, weight) || !is_alike(out, x) || !is_f32(bias) || bias.cols != x.cols)
    return kairo_cuda_unfit;
  return with_type(out.type, [&](auto type) {
    using Out = decltype(type);
    const bool is_narrow = is_warp_wide(x.cols);
    return launch_teams(
        is_narrow ? layer_norm_rows<Out, warp_lanes> : layer_norm_rows<Out, block_threads>,
        is_narrow ? warp_lanes : block_threads, x.rows, stream, view_of<Out>(out),
        static_cast<float*>(inverse.data), view_of<const float>(x),
        static_cast<const float*>(weight.data), static_cast<const float*>(bias.data), x.rows,
        x.cols, eps);
  });
}

extern "C" std::int32_t kairo_cuda_layer_norm_backward(KairoMat dx, KairoMat dout, KairoMat x,
                                                       KairoMat inverse, KairoMat weight,
                                                       void* stream) {
  if (!fits(x, inverse, weight) || !are_f32(dx, dout) || !is_alike(dx, x) || !is_alike(dout, x))
    return kairo_cuda_unfit;
  const bool is_narrow = is_warp_wide(x.cols);
  return launch_teams(
      is_narrow ? layer_norm_rows_backward<warp_lanes> : layer_norm_rows_backward<block_threads>,
      is_narrow ? warp_lanes : block_threads, x.rows, stream, view_of<float>(dx),
      view_of<const float>(dout), view_of<const float>(x), static_cast<const float*>(inverse.data),
      static_cast<const float*>(weight.data), x.rows, x.cols);
}
}  // namespace kairo::cuda
