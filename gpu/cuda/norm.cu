// gpu/cuda/norm.cu - root mean square norms of groups of columns: gpu/kernels/rmsnorm.h.
#include "gpu/cuda/device.h"

namespace kairo::cuda {
namespace {
struct Groups {
  std::int64_t count, each, C;  // of all rows; of a row; columns of one
};
// x is read twice; the second time it comes from the caches.
template <class Out, int team>
__global__ void __launch_bounds__(block_threads)
    norm_rows(View<Out> out, float* inverse, View<const float> x, const float* weight, Groups g,
              float eps) {
  __shared__ Shared<float, block_threads / warp_lanes> parts;
  const std::int64_t i = team_index<team>();
  if (i >= g.count) return;
  const std::int64_t t = i / g.each, first = (i - t * g.each) * g.C;
  const float* in = x.row(t) + first;
  float sum = 0;
  for (std::int64_t c = threadIdx.x; c < g.C; c += team) sum += in[c] * in[c];
  sum = team_sum<team>(sum, parts);
  const float scale = 1.0f / sqrtf(sum / static_cast<float>(g.C) + eps);
  if (threadIdx.x == 0) inverse[i] = scale;
  Out* to = out.row(t) + first;
  for (std::int64_t c = threadIdx.x; c < g.C; c += team)
    to[c] = stored<Out>(in[c] * scale * weight[c]);
}
// With u = dout * weight and n = x * inverse: dx = inverse * (u - n * mean(u * n)).
template <int team>
__global__ void __launch_bounds__(block_threads)
    norm_rows_backward(View<float> dx, View<const float> dout, View<const float> x,
                       const float* inverse, const float* weight, Groups g, bool add) {
  __shared__ Shared<float, block_threads / warp_lanes> parts;
  const std::int64_t i = team_index<team>();
  if (i >= g.count) return;
  const std::int64_t t = i / g.each, first = (i - t * g.each) * g.C;
  const float *in = x.row(t) + first, *gradient = dout.row(t) + first;
  float dot = 0;
  for (std::int64_t c = threadIdx.x; c < g.C; c += team) dot += gradient[c] * weight[c] * in[c];
  dot = team_sum<team>(dot, parts);
  const float scale = inverse[i], shrink = dot * scale * scale / static_cast<float>(g.C);
  float* to = dx.row(t) + first;
  for (std::int64_t c = threadIdx.x; c < g.C; c += team) {  // each thread what it alone reads
    const float d = scale * (gradient[c] * weight[c] - in[c] * shrink);
    to[c] = add ? to[c] + d : d;
  }
}
// False where these are not whole groups with one scale each.
bool groups_of(Groups* g, const KairoMat& x, const KairoMat& inverse, const KairoMat& weight) {
  if (weight.cols <= 0 || x.cols % weight.cols != 0) return false;
  *g = {x.rows * (x.cols / weight.cols), x.cols / weight.cols, weight.cols};
  return are_f32(x, weight) && is_f32(inverse) && inverse.rows == x.rows &&
         inverse.cols == g->each && is_dense(inverse);
}
}  // namespace

extern "C" std::int32_t kairo_cuda_norm(KairoMat out, KairoMat inverse, KairoMat x, KairoMat weight,
                                        float eps, void* stream) {
  Groups g = {};
  if (!groups_of(&g, x, inverse, weight) || !is_alike(out, x)) return kairo_cuda_unfit;
  return with_type(out.type, [&](auto type) {
    using Out = decltype(type);
    const bool is_narrow = is_warp_wide(g.C);
    return launch_teams(is_narrow ? norm_rows<Out, warp_lanes> : norm_rows<Out, block_threads>,
                        is_narrow ? warp_lanes : block_threads, g.count, stream, view_of<Out>(out),
                        static_cast<float*>(inverse.data), view_of<const float>(x),
                        static_cast<const float*>(weight.data), g, eps);
  });
}

extern "C" std::int32_t kairo_cuda_norm_backward(KairoMat dx, KairoMat dout, KairoMat x,
                                                 KairoMat inverse, KairoMat weight,
                                                 std::int32_t add, void* stream) {
  Groups g = {};
  if (!groups_of(&g, x, inverse, weight) || !are_f32(dx, dout) || !is_alike(dx, x) ||
      !is_alike(dout, x))
    return kairo_cuda_unfit;
  const bool is_narrow = is_warp_wide(g.C);
  return launch_teams(
      is_narrow ? norm_rows_backward<warp_lanes> : norm_rows_backward<block_threads>,
      is_narrow ? warp_lanes : block_threads, g.count, stream, view_of<float>(dx),
      view_of<const float>(dout), view_of<const float>(x), static_cast<const float*>(inverse.data),
      static_cast<const float*>(weight.data), g, add != 0);
}
}  // namespace kairo::cuda
