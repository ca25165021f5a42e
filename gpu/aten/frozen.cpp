// gpu/aten/frozen.cpp - look-ups for NF4; products of tiles that always have one shape.
#include "gpu/aten/frozen.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <array>

#include "gpu/aten/blocks.h"

namespace kairo::gpu::aten {
namespace {
// Rows of a product at a time, with zeros where there are fewer: the kernel, and so the order of
// every sum, is the same whatever else is in the batch.
constexpr std::int64_t product_rows = 32;
constexpr std::int64_t widened_at_once = 1 << 24;  // of a matrix that is widened

at::Tensor copied(const Tensors& t, std::span<const float> values) {
  return at::from_blob(const_cast<float*>(values.data()),
                       {static_cast<std::int64_t>(values.size())}, at::kFloat)
      .clone()
      .to(t.device());
}
at::ScalarType scalar_of(Stored kind) {
  KAIRO_ASSERT(!is_quantised(kind), "blocks are no numbers");
  return kind == Stored::f32 ? at::kFloat : kind == Stored::bf16 ? at::kBFloat16 : at::kHalf;
}
// put(first row, rows, their product with b) for the rows of a; b: (K, N), a: (T, K).
template <class Put>
void in_tiles(const Tensors& t, const at::Tensor& a, const at::Tensor& b, const Put& put) {
  const std::int64_t T = a.size(0);
  for (std::int64_t begin = 0; begin < T; begin += product_rows) {
    const std::int64_t rows = std::min(product_rows, T - begin);
    const at::Tensor tile = at::zeros({product_rows, a.size(1)}, t.options(at::kFloat));
    tile.narrow(0, 0, rows).copy_(a.narrow(0, begin, rows));
    put(begin, rows, at::mm(tile, b).narrow(0, 0, rows));
  }
}
}  // namespace

Nf4Tables::Nf4Tables(const Tensors& t)
    : levels(copied(t, nf4_levels)), map(copied(t, dynamic_map())) {}

at::Tensor nf4_values(const Tensors& t, const Nf4Tables& tables, const Nf4View& w, std::int64_t n,
                      at::ScalarType type) {
  at::Tensor out = at::empty({n}, t.options(type));
  constexpr std::int64_t whole = nf4_block * nf4_group, step = widened_at_once / whole * whole;
  for (std::int64_t begin = 0; begin < n; begin += step) {
    const std::int64_t count = std::min(step, n - begin), blocks = nf4_blocks(count);
    const std::int64_t first = begin / nf4_block, groups = nf4_groups(count);
    const at::Tensor index = t.flat(w.scales + first, at::kByte, blocks).to(at::kInt);
    const at::Tensor group = t.flat(w.group_scales + begin / whole, at::kFloat, groups);
    const at::Tensor of_block =
        group.unsqueeze(1).expand({groups, nf4_group}).reshape({-1}).narrow(0, 0, blocks);
    const at::Tensor scale = tables.map.index_select(0, index).mul(of_block).add(w.offset);
    const at::Tensor packed = t.flat(w.packed + begin / 2, at::kByte, nf4_bytes(count));
    const at::Tensor codes = at::stack({packed.bitwise_right_shift(4), packed.bitwise_and(15)}, 1);
    const at::Tensor level = tables.levels.index_select(0, codes.reshape({-1}).to(at::kInt));
    const at::Tensor of_value = scale.unsqueeze(1).expand({blocks, nf4_block}).reshape({-1});
    out.narrow(0, begin, count).copy_(level.narrow(0, 0, count).mul(of_value.narrow(0, 0, count)));
  }
  return out;
}

at::Tensor stored(const Tensors& t, const Frozen& w) {
  return t.view(w.data, scalar_of(w.kind), {w.rows, w.cols}, {w.cols, 1});
}

namespace {
at::Tensor bytes_of(const Tensors& t, const Frozen& w) {
  return t.view(w.data, at::kByte, {w.rows, w.row_bytes()}, {w.row_bytes(), 1});
}
// Rows [begin, begin + count) in fp32.
at::Tensor some_rows(const Tensors& t, const at::Tensor& nf4, const Frozen& w, std::int64_t begin,
                     std::int64_t count) {
  if (w.nf4) return nf4.narrow(0, begin, count);
  if (!is_quantised(w.kind)) return wide(stored(t, w).narrow(0, begin, count));
  return block_values(w.kind, bytes_of(t, w).narrow(0, begin, count));
}
at::Tensor all_of_nf4(const Tensors& t, const Nf4Tables& tables, const Frozen& w) {
  if (!w.nf4) return {};
  return nf4_values(t, tables, *w.nf4, w.rows * w.cols, at::kFloat).view({w.rows, w.cols});
}
}  // namespace

at::Tensor rows_of(const Tensors& t, const Nf4Tables& tables, const Frozen& w,
                   const at::Tensor& rows) {
  if (w.nf4) return all_of_nf4(t, tables, w).index_select(0, rows);
  if (!is_quantised(w.kind)) return wide(stored(t, w).index_select(0, rows));
  return block_values(w.kind, bytes_of(t, w).index_select(0, rows));
}

void product(const Tensors& t, const Nf4Tables& tables, const Mat& y, const Mat& x,
             std::span<const Frozen> stacked) {
  const at::Tensor in = t.of(x);
  std::int64_t column = 0;
  for (const Frozen& w : stacked) {
    KAIRO_ASSERT(w.cols == x.cols, "stacked matrices multiply the same rows");
    const at::Tensor nf4 = all_of_nf4(t, tables, w);
    const std::int64_t step = std::max<std::int64_t>(1, widened_at_once / w.cols);
    for (std::int64_t begin = 0; begin < w.rows; begin += step) {
      const std::int64_t count = std::min(step, w.rows - begin);
      const at::Tensor turned = some_rows(t, nf4, w, begin, count).t();
      const Mat to = y.columns_at(column + begin, count);
      in_tiles(t, in, turned, [&](std::int64_t row, std::int64_t rows, const at::Tensor& sums) {
        t.of(to.rows_at(row, rows)).copy_(sums);
      });
    }
    column += w.rows;
  }
  KAIRO_ASSERT(x.rows == y.rows && column == y.cols, "the factors' shapes give the product's");
}

void add_low_rank(const Tensors& t, const Mat& y, const Mat& low, const Mat& b,
                  std::span<const LowRankPart> parts) {
  std::int64_t at = 0, index = 0;
  for (const LowRankPart& part : parts) {
    const at::Tensor in = t.of(low.columns_at(index * b.rows, b.rows));
    const at::Tensor up = t.of(b.columns_at(at, part.cols));
    const Mat to = y.columns_at(part.first, part.cols);
    in_tiles(t, in, up, [&](std::int64_t row, std::int64_t rows, const at::Tensor& sums) {
      t.of(to.rows_at(row, rows)).add_(sums);
    });
    at += part.cols;
    ++index;
  }
}
}  // namespace kairo::gpu::aten
