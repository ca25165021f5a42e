// gpu/cuda/rows.cu - rows of values: cleared, copied to another type, added, gathered, scattered.
#include "gpu/cuda/device.h"

namespace kairo::cuda {
namespace {
template <class T>
__global__ void __launch_bounds__(block_threads) zero_cells(Cells cells, View<T> m) {
  each_cell(cells, [&](std::int64_t r, std::int64_t c) { m.row(r)[c] = stored<T>(0.0f); });
}
// rows: null, or which row of `from` each row of `to` is. A value is read before it is written, by
// one thread: `to` may be `from`.
template <class To, class From>
__global__ void __launch_bounds__(block_threads)
    copy_cells(Cells cells, View<To> to, View<const From> from, const std::int32_t* rows,
               float scale) {
  each_cell(cells, [&](std::int64_t r, std::int64_t c) {
    const std::int64_t source = rows == nullptr ? r : rows[r];
    to.row(r)[c] = stored<To>(scale * value_of(from.row(source)[c]));
  });
}
__global__ void __launch_bounds__(block_threads)
    scatter_cells(Cells cells, View<float> to, View<const float> from, const std::int32_t* rows) {
  each_cell(cells, [&](std::int64_t r, std::int64_t c) { to.row(rows[r])[c] = from.row(r)[c]; });
}
// The row stride of `from` is 0 where one row is added to each.
__global__ void __launch_bounds__(block_threads)
    add_cells(Cells cells, View<float> to, View<const float> from, float scale) {
  each_cell(cells, [&](std::int64_t r, std::int64_t c) { to.row(r)[c] += scale * from.row(r)[c]; });
}
__global__ void __launch_bounds__(block_threads) cap_cells(Cells cells, View<float> m, float cap) {
  each_cell(cells,
            [&](std::int64_t r, std::int64_t c) { m.row(r)[c] = softcap(m.row(r)[c], cap); });
}
std::int32_t copy_rows(const KairoMat& to, const KairoMat& from, const std::int32_t* rows,
                       float scale, void* stream) {
  return with_type(to.type, [&](auto to_type) {
    return with_type(from.type, [&](auto from_type) {
      using To = decltype(to_type);
      using From = decltype(from_type);
      return launch_cells(copy_cells<To, From>, to.rows, to.cols, stream, view_of<To>(to),
                          view_of<const From>(from), rows, scale);
    });
  });
}
}  // namespace

extern "C" std::int32_t kairo_cuda_zero(KairoMat m, void* stream) {
  return with_type(m.type, [&](auto type) {
    using T = decltype(type);
    return launch_cells(zero_cells<T>, m.rows, m.cols, stream, view_of<T>(m));
  });
}

extern "C" std::int32_t kairo_cuda_copy(KairoMat to, KairoMat from, float scale, void* stream) {
  if (!is_alike(to, from) || (scale != 1 && !is_f32(from))) return kairo_cuda_unfit;
  return copy_rows(to, from, nullptr, scale, stream);
}

extern "C" std::int32_t kairo_cuda_gather(KairoMat to, KairoMat from, const std::int32_t* rows,
                                          void* stream) {
  if (to.cols != from.cols) return kairo_cuda_unfit;
  return copy_rows(to, from, rows, 1, stream);
}

extern "C" std::int32_t kairo_cuda_scatter(KairoMat to, KairoMat from, const std::int32_t* rows,
                                           void* stream) {
  if (to.cols != from.cols || !are_f32(to, from)) return kairo_cuda_unfit;
  return launch_cells(scatter_cells, from.rows, from.cols, stream, view_of<float>(to),
                      view_of<const float>(from), rows);
}

extern "C" std::int32_t kairo_cuda_add(KairoMat to, KairoMat from, float scale, void* stream) {
  if (!is_alike(to, from) || !are_f32(to, from)) return kairo_cuda_unfit;
  return launch_cells(add_cells, to.rows, to.cols, stream, view_of<float>(to),
                      view_of<const float>(from), scale);
}

extern "C" std::int32_t kairo_cuda_add_row(KairoMat to, KairoMat row, void* stream) {
  if (row.rows != 1 || row.cols != to.cols || !are_f32(to, row)) return kairo_cuda_unfit;
  row.ld = 0;
  return launch_cells(add_cells, to.rows, to.cols, stream, view_of<float>(to),
                      view_of<const float>(row), 1.0f);
}

extern "C" std::int32_t kairo_cuda_softcap(KairoMat m, float cap, void* stream) {
  if (!is_f32(m)) return kairo_cuda_unfit;
  return launch_cells(cap_cells, m.rows, m.cols, stream, view_of<float>(m), cap);
}
}  // namespace kairo::cuda
