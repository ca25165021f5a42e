// gpu/cuda/optimizer.cu - AdamW over the values of all adapters in one launch, and the square sum
// of a gradient: gpu/kernels/adamw.h.
#include <cmath>

#include "gpu/cuda/device.h"

namespace kairo::cuda {
namespace {
struct Step {
  float rate, root2, keep, beta1, beta2, eps, gradient_scale;
};
__global__ void __launch_bounds__(block_threads)
    adamw_cells(Cells cells, float* p, const float* g, float* m, float* v, Step s) {
  each_cell(cells, [&](std::int64_t, std::int64_t i) {
    const float grad = g[i] * s.gradient_scale;
    const float mean = m[i] + (grad - m[i]) * (1.0f - s.beta1);
    const float square = v[i] * s.beta2 + grad * grad * (1.0f - s.beta2);
    m[i] = mean;
    v[i] = square;
    p[i] = p[i] * s.keep - s.rate * mean / (sqrtf(square) / s.root2 + s.eps);
  });
}
// Which values a thread adds up depends on their number alone.
__global__ void __launch_bounds__(block_threads)
    square_sums(double* sums, const float* g, std::int64_t n, std::int64_t each) {
  __shared__ Shared<double, block_threads / warp_lanes> parts;
  const std::int64_t begin = blockIdx.x * each, end = begin + each < n ? begin + each : n;
  double sum = 0;
  for (std::int64_t i = begin + threadIdx.x; i < end; i += block_threads)
    sum += static_cast<double>(g[i]) * static_cast<double>(g[i]);
  sum = block_sum<block_threads>(sum, parts);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}
__global__ void __launch_bounds__(block_threads)
    sum_of_sums(double* total, const double* sums, int count) {
  __shared__ Shared<double, block_threads / warp_lanes> parts;
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += block_threads) sum += sums[i];
  sum = block_sum<block_threads>(sum, parts);
  if (threadIdx.x == 0) *total = sum;
}
bool is_flat_f32(const KairoMat& m, std::int64_t n) {
  return is_f32(m) && is_dense(m) && m.rows * m.cols == n;
}
}  // namespace

extern "C" std::int32_t kairo_cuda_adamw(KairoMat p, KairoMat g, KairoMat m, KairoMat v,
                                         const KairoAdamwStep* step, void* stream) {
  const std::int64_t n = p.rows * p.cols;
  if (!is_flat_f32(p, n) || !is_flat_f32(g, n) || !is_flat_f32(m, n) || !is_flat_f32(v, n))
    return kairo_cuda_unfit;
  const auto count = static_cast<double>(step->step);
  const double correction1 = 1 - std::pow(static_cast<double>(step->beta1), count);
  const double correction2 = 1 - std::pow(static_cast<double>(step->beta2), count);
  const Step s = {static_cast<float>(static_cast<double>(step->learning_rate) / correction1),
                  static_cast<float>(std::sqrt(correction2)),
                  1.0f - step->learning_rate * step->weight_decay,
                  step->beta1,
                  step->beta2,
                  step->eps,
                  step->gradient_scale};
  return launch_cells(adamw_cells, 1, n, stream, static_cast<float*>(p.data),
                      static_cast<const float*>(g.data), static_cast<float*>(m.data),
                      static_cast<float*>(v.data), s);
}

extern "C" std::int32_t kairo_cuda_square_sum(double* sum, double* scratch, KairoMat flat,
                                              void* stream) {
  const std::int64_t n = flat.rows * flat.cols;
  if (!is_flat_f32(flat, n) || n <= 0) return kairo_cuda_unfit;
  constexpr std::int64_t least = 16 * block_threads;
  std::int64_t each = parts_of(n, kairo_square_sum_scratch);
  if (each < least) each = least;
  const std::int64_t blocks = parts_of(n, each);
  const std::int32_t code = launch(square_sums, blocks, dim3(block_threads), stream, scratch,
                                   static_cast<const float*>(flat.data), n, each);
  if (code != 0) return code;
  return launch(sum_of_sums, 1, dim3(block_threads), stream, sum, scratch,
                static_cast<int>(blocks));
}
}  // namespace kairo::cuda
