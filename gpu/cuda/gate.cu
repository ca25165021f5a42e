// gpu/cuda/gate.cu - gated activations and GELU, forward and backward: gpu/kernels/swiglu.h,
// gelu.h.
#include "gpu/cuda/device.h"

namespace kairo::cuda {
namespace {
constexpr float geglu_a = 0.7978845608028654f, geglu_b = 0.044715f;  // a = sqrt(2 / pi)
constexpr float root_half = 0.7071067811865476f, density_0 = 0.3989422804014327f;

struct Gated {
  float out, slope;  // of the activation alone
};
__device__ __forceinline__ Gated activation(float x, int how) {
  if (how == kairo_swiglu) {
    const float s = 1.0f / (1.0f + expf(-x));
    return {x * s, s + x * s * (1.0f - s)};
  }
  if (how == kairo_geglu) {
    const float h = tanhf(geglu_a * (x + geglu_b * x * x * x));
    return {0.5f * x * (1.0f + h), 0.5f * (1.0f + h) + 0.5f * x * (1.0f - h * h) * geglu_a *
                                                           (1.0f + 3.0f * geglu_b * x * x)};
  }
  const float half = 0.5f * (1.0f + erff(x * root_half));
  return {x * half, half + x * density_0 * expf(-0.5f * x * x)};
}
// Takes a value over from `from`, which may be the same place; gives it as it is kept.
template <class T, class From>
__device__ __forceinline__ float taken(T* to, const From* from) {
  const T kept = stored<T>(value_of(*from));
  *to = kept;
  return value_of(kept);
}
template <class Out, class T, class From>
__global__ void __launch_bounds__(block_threads)
    gate_cells(Cells cells, View<Out> out, View<T> gate_up, View<const From> from, int how) {
  each_cell(cells, [&](std::int64_t t, std::int64_t c) {
    float y = activation(taken(gate_up.row(t) + c, from.row(t) + c), how).out;
    const std::int64_t up = cells.cols + c;
    if (how != kairo_gelu) y *= taken(gate_up.row(t) + up, from.row(t) + up);
    out.row(t)[c] = stored<Out>(y);
  });
}
template <class T>
__global__ void __launch_bounds__(block_threads)
    gate_cells_backward(Cells cells, View<T> gate_up, View<const float> dout, int how) {
  each_cell(cells, [&](std::int64_t t, std::int64_t c) {
    T* const gate = gate_up.row(t) + c;
    const Gated g = activation(value_of(*gate), how);
    float d = dout.row(t)[c];
    if (how != kairo_gelu) {
      T* const up = gate + cells.cols;
      const float u = value_of(*up);
      *up = stored<T>(d * g.out);
      d *= u;
    }
    *gate = stored<T>(d * g.slope);
  });
}
bool is_gate_of(const KairoMat& gate_up, std::int64_t cols, std::int32_t how) {
  const std::int64_t halves = how == kairo_gelu ? 1 : 2;
  return how >= kairo_swiglu && how <= kairo_gelu && gate_up.cols == halves * cols;
}
}  // namespace

extern "C" std::int32_t kairo_cuda_gate(KairoMat out, KairoMat gate_up, KairoMat from,
                                        std::int32_t how, void* stream) {
  if (!is_gate_of(gate_up, out.cols, how) || !is_alike(gate_up, from) || out.rows != from.rows)
    return kairo_cuda_unfit;
  return with_type(out.type, [&](auto out_type) {
    return with_type(gate_up.type, [&](auto type) {
      return with_type(from.type, [&](auto from_type) {
        using Out = decltype(out_type);
        using T = decltype(type);
        using From = decltype(from_type);
        return launch_cells(gate_cells<Out, T, From>, out.rows, out.cols, stream, view_of<Out>(out),
                            view_of<T>(gate_up), view_of<const From>(from), how);
      });
    });
  });
}

extern "C" std::int32_t kairo_cuda_gate_backward(KairoMat gate_up, KairoMat dout, std::int32_t how,
                                                 void* stream) {
  if (!is_gate_of(gate_up, dout.cols, how) || gate_up.rows != dout.rows || !is_f32(dout))
    return kairo_cuda_unfit;
  return with_type(gate_up.type, [&](auto type) {
    using T = decltype(type);
    return launch_cells(gate_cells_backward<T>, dout.rows, dout.cols, stream, view_of<T>(gate_up),
                        view_of<const float>(dout), how);
  });
}
}  // namespace kairo::cuda
