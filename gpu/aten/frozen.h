// gpu/aten/frozen.h - frozen matrices, and products whose rows do not know of each other.
#pragma once
#include <span>

#include "gpu/aten/tensors.h"
#include "gpu/kernels/frozen.h"
#include "gpu/kernels/low_rank.h"

namespace kairo::gpu::aten {
// The tables of NF4 on a device.
struct Nf4Tables {
  at::Tensor levels, map;  // (16), (256)
  explicit Nf4Tables(const Tensors& t);
};
// The first n weights of w, flat; the values of nf4_dequantize_cpu, to the bit.
at::Tensor nf4_values(const Tensors& t, const Nf4Tables& tables, const Nf4View& w, std::int64_t n,
                      at::ScalarType type);
// (rows, cols) as it is stored, of plain kinds.
at::Tensor stored(const Tensors& t, const Frozen& w);
// Rows of a matrix in fp32: those that are named, whatever it is stored as.
at::Tensor rows_of(const Tensors& t, const Nf4Tables& tables, const Frozen& w,
                   const at::Tensor& rows);
// y = x w^T as Ops::frozen says.
void product(const Tensors& t, const Nf4Tables& tables, const Mat& y, const Mat& x,
             std::span<const Frozen> stacked);
void add_low_rank(const Tensors& t, const Mat& y, const Mat& low, const Mat& b,
                  std::span<const LowRankPart> parts);
}  // namespace kairo::gpu::aten
