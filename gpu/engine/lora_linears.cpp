// gpu/engine/lora_linears.cpp - the products of a trainable adapter, and their gradients.
#include "gpu/engine/lora_linears.h"

#include <algorithm>

namespace kairo::gpu {
namespace {
std::int64_t widest_stride(const LoraLayout& lora) {
  std::int64_t n = 0;
  for (const auto& group : lora.groups[0]) n = std::max(n, group.stride);
  return n;
}
std::int64_t widest_rank(const LoraLayout& lora) {
  std::int64_t n = 0;
  for (const auto& layer : lora.groups)
    for (const auto& group : layer) n = std::max(n, group.rank_total);
  return n;
}
// Gradients of gate_up come in the weights' type.
std::int64_t widest_fp32_out(const LoraLayout& lora) {
  std::int64_t n = 0;
  for (const Group g : {Group::qkv, Group::o, Group::down})
    n = std::max(n, lora.groups[0][index_of(g)].out);
  return n;
}
}  // namespace

LoraLinears::LoraLinears(Ops& ops, const LoraLayout& lora, Weights& weights,
                         std::int64_t tokens_max)
    : ops_(ops),
      lora_(lora),
      weights_(weights),
      dinput_(ops.make(tokens_max * widest_stride(lora))),
      dropped_(ops.make(lora.dropout > 0 ? tokens_max * widest_in(lora) : 0)) {
  const Type type = weights.type();
  if (type == Type::f32) return;
  factors_ = ops.make(floats_of(type, lora.parameters));
  dy_ = ops.make(floats_of(type, tokens_max * widest_fp32_out(lora)));
  dxa_ = ops.make(floats_of(type, tokens_max * widest_rank(lora)));
}

void LoraLinears::use(const Mat& parameters, const Mat& gradient,
                      const std::uint64_t* dropout_keys) {
  parameters_ = parameters;
  gradient_ = gradient;
  dropout_keys_ = dropout_keys;
}
const LoraGroup& LoraLinears::at(std::int64_t layer, Group g) const {
  return lora_.groups[static_cast<std::size_t>(layer)][index_of(g)];
}
Mat LoraLinears::a_of(const Mat& flat, const LoraGroup& g) const {
  return flat.flat_at(g.a_offset, g.rank_total, g.in);
}
Mat LoraLinears::a_of(const Mat& flat, const LoraGroup& g, const Part& part) const {
  return a_of(flat, g).rows_at(part.rank_begin, lora_.rank);
}
Mat LoraLinears::b_of(const Mat& flat, const Part& part) const {
  return flat.flat_at(part.b_offset, part.out, lora_.rank);
}
DropoutMask LoraLinears::mask(std::int64_t layer, const Part& part) const {
  constexpr std::int64_t apart = 7;  // no family has two modules whose numbers meet
  return {dropout_keys_, layer * apart + static_cast<std::int64_t>(index_of(part.module)),
          lora_.dropout};
}

// Writes scale * B into the columns behind the base weights; clears the padding.
void LoraLinears::place(const Mat& matrix, const LoraGroup& g) {
  if (g.stride == g.in) return;
  const Mat behind = matrix.columns_at(g.in, g.stride - g.in);
  ops_.zero(behind);
  for (const auto& part : g.parts)
    ops_.copy(behind.rows_at(part.out_begin, part.out).columns_at(part.rank_begin, lora_.rank),
              b_of(parameters_, part), static_cast<float>(lora_.scale));
}
Mat LoraLinears::factor(const Mat& m, Buffer& copy) {
  if (m.type == weights_.type()) return m;
  const Mat rounded = Mat::of(weights_.type(), copy.data(), m.rows, m.cols);
  ops_.copy(rounded, m);
  return rounded;
}
void LoraLinears::refresh() {
  factors_view_ = factor(parameters_, factors_);
  for (std::size_t l = 0; l < lora_.groups.size(); ++l) {
    const auto layer = static_cast<std::int64_t>(l);
    if (weights_.is_decoded_at_use(layer)) continue;  // such matrices take B at every use
    for (const Group g : all_groups) place(weights_.group(layer, g), at(layer, g));
  }
}
Mat LoraLinears::matrix(std::int64_t layer, Group g) {
  const Mat m = weights_.group(layer, g);
  if (weights_.is_decoded_at_use(layer)) place(m, at(layer, g));
  return m;
}

// xa = x A^T; of each part with the x that its mask leaves.
void LoraLinears::low_rank(const Mat& xa, const Mat& x, std::int64_t layer, const LoraGroup& g) {
  if (dropout_keys_ == nullptr) return ops_.gemm(xa, x, turned(a_of(factors_view_, g)));
  const Mat left = Mat::of(x.type, dropped_.data(), x.rows, g.in);
  for (const auto& part : g.parts) {
    ops_.dropout(left, x, mask(layer, part));
    ops_.gemm(xa.columns_at(part.rank_begin, lora_.rank), left,
              turned(a_of(factors_view_, g, part)));
  }
}

void LoraLinears::forward(const Mat& y, const Mat& x, std::int64_t layer, Group group, bool add) {
  const LoraGroup& g = at(layer, group);
  const Mat m = matrix(layer, group);
  restore(x, layer, group);
  const std::int64_t columns = g.in + g.rank_total;
  ops_.gemm(y, x.columns_at(0, columns), turned(m.columns_at(0, columns)), 1, add ? 1 : 0);
  if (const Mat& bias = weights_.bias(layer, group); bias.data != nullptr) ops_.add_row(y, bias);
}

void LoraLinears::restore(const Mat& x, std::int64_t layer, Group group) {
  const LoraGroup& g = at(layer, group);
  low_rank(x.columns_at(g.in, g.rank_total), x, layer, g);
}

// dA = d(x A^T)^T x;  dx += d(x A^T) A. With dropout the masks are made again: dA takes what they
// leave of x, dx what they leave of d(x A^T) A.
void LoraLinears::low_rank_backward(const Mat& dx, const Mat& dxa, const Mat& x, std::int64_t layer,
                                    const LoraGroup& g, bool to_input) {
  if (dropout_keys_ == nullptr) {
    ops_.gemm(a_of(gradient_, g), turned(dxa), x, 1, 1);
    if (to_input) ops_.gemm(dx, dxa, a_of(factors_view_, g), 1, 1);
    return;
  }
  const Mat left = Mat::of(x.type, dropped_.data(), x.rows, g.in);
  const Mat dx_part = Mat::f32(dropped_.data(), x.rows, g.in);
  for (const auto& part : g.parts) {
    const Mat dxa_part = dxa.columns_at(part.rank_begin, lora_.rank);
    ops_.dropout(left, x, mask(layer, part));
    ops_.gemm(a_of(gradient_, g, part), turned(dxa_part), left, 1, 1);
    if (!to_input) continue;
    ops_.gemm(dx_part, dxa_part, a_of(factors_view_, g, part));
    ops_.dropout_add(dx, dx_part, mask(layer, part));
  }
}

// [dx | d(x A^T)] = dy [W | scale B];  dB = scale dy^T (x A^T).
std::optional<Mat> LoraLinears::backward(const Mat& dy_of, const Mat& x, std::int64_t layer,
                                         Group group) {
  const LoraGroup& g = at(layer, group);
  const Mat dy = factor(dy_of, dy_);
  const Mat m = matrix(layer, group);
  const bool is_lowest = layer == lora_.lowest_layer && group == lora_.lowest_group;
  const std::int64_t skip = is_lowest ? g.in : 0;  // the lowest needs only d(x A^T)
  const Mat both = Mat::f32(dinput_.data(), x.rows, g.in + g.rank_total, g.stride);
  const Mat dx = both.columns_at(0, g.in), dxa_sum = both.columns_at(g.in, g.rank_total);
  ops_.gemm(both.columns_at(skip, both.cols - skip), dy, m.columns_at(skip, both.cols - skip));
  if (g.rank_total == 0) return dx;
  const Mat xa = x.columns_at(g.in, g.rank_total);
  for (const auto& part : g.parts)
    ops_.gemm(b_of(gradient_, part), turned(dy.columns_at(part.out_begin, part.out)),
              xa.columns_at(part.rank_begin, lora_.rank), static_cast<float>(lora_.scale), 1);
  low_rank_backward(dx, factor(dxa_sum, dxa_), x, layer, g, !is_lowest);
  if (is_lowest) return std::nullopt;
  return dx;
}
}  // namespace kairo::gpu
