// gpu/aten/parts.cpp - formulas as in gpu/kernels/<name>.h, all in fp32.
#include "gpu/aten/parts.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/gelu_backward.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/silu_backward.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <cmath>

namespace kairo::gpu::aten {
namespace {
constexpr std::int64_t values_in_piece = 1 << 24;  // of what goes through in pieces: temporaries

// run(begin, count) over n of something, `each` values apiece.
template <class Run>
void in_pieces(std::int64_t n, std::int64_t each, const Run& run) {
  const std::int64_t step =
      std::max<std::int64_t>(1, values_in_piece / std::max<std::int64_t>(each, 1));
  for (std::int64_t begin = 0; begin < n; begin += step) run(begin, std::min(step, n - begin));
}
// (T, groups, columns of the weight)
at::Tensor in_groups(const Tensors& t, const Mat& m, const Mat& weight) {
  const std::int64_t width = weight.cols, groups = m.cols / width;
  KAIRO_ASSERT(groups * width == m.cols, "whole groups");
  return t.of(m, 0, {m.rows, groups, width}, {m.ld, width, 1});
}
at::Tensor scales(const Tensors& t, const Mat& inverse) {
  KAIRO_ASSERT(inverse.is_dense(), "scales lie one behind the other");
  return t.of(inverse).unsqueeze(2);
}
void put(const at::Tensor& to, const at::Tensor& values, bool add) {
  if (add)
    to.add_(values);
  else
    to.copy_(values);
}
}  // namespace

void norm(const Tensors& t, const Mat& out, const Mat& inverse, const Mat& x, const Mat& weight,
          float eps) {
  const at::Tensor in = in_groups(t, x, weight);
  const at::Tensor scale = scales(t, inverse);
  scale.copy_(in.square().mean({2}, true).add(eps).sqrt().reciprocal());
  in_groups(t, out, weight).copy_(in.mul(scale).mul(t.row(weight)));
}

// With u = dout * weight and n = x * inverse: dx = inverse * (u - n * mean(u * n)).
void norm_backward(const Tensors& t, const Mat& dx, const Mat& dout, const Mat& x,
                   const Mat& inverse, const Mat& weight, bool add) {
  const at::Tensor in = in_groups(t, x, weight), scale = scales(t, inverse);
  const at::Tensor u = in_groups(t, dout, weight).mul(t.row(weight));
  const at::Tensor shrink = u.mul(in).mean({2}, true).mul(scale).mul(scale);
  put(in_groups(t, dx, weight), u.sub(in.mul(shrink)).mul(scale), add);
}

void layer_norm(const Tensors& t, const Mat& out, const Mat& inverse, const Mat& x,
                const Mat& weight, const Mat& bias, float eps) {
  const at::Tensor in = t.of(x), centred = in.sub(in.mean({1}, true)), scale = t.of(inverse);
  scale.copy_(centred.square().mean({1}, true).add(eps).sqrt().reciprocal());
  t.of(out).copy_(centred.mul(scale).mul(t.row(weight)).add(t.row(bias)));
}

// With u = dout * weight and n = (x - mean) * inverse: dx += inverse * (u - mean(u) - n mean(u n)).
void layer_norm_backward(const Tensors& t, const Mat& dx, const Mat& dout, const Mat& x,
                         const Mat& inverse, const Mat& weight) {
  const at::Tensor in = t.of(x), centred = in.sub(in.mean({1}, true)), scale = t.of(inverse);
  const at::Tensor u = t.of(dout).mul(t.row(weight));
  const at::Tensor shrink = u.mul(centred).mean({1}, true).mul(scale).mul(scale);
  t.of(dx).add_(u.sub(u.mean({1}, true)).sub(centred.mul(shrink)).mul(scale));
}

void rope(const Tensors& t, const Mat& x, const RopeMats& table, const std::int32_t* angles,
          std::int64_t dim, bool inverse) {
  const std::int64_t half = table.cos.cols, heads = x.cols / dim;
  const at::Tensor row = t.indices(angles, x.rows);
  const at::Tensor cos = t.of(table.cos).index_select(0, row).unsqueeze(1);
  at::Tensor sin = t.of(table.sin).index_select(0, row).unsqueeze(1);
  if (inverse) sin = sin.neg();
  const at::Tensor a = t.of(x, 0, {x.rows, heads, half}, {x.ld, dim, 1});
  const at::Tensor b = t.of(x, half, {x.rows, heads, half}, {x.ld, dim, 1});
  const at::Tensor turned = a.mul(cos).sub(b.mul(sin));
  b.copy_(b.mul(cos).add(a.mul(sin)));
  a.copy_(turned);
}

void gate(const Tensors& t, const Mat& out, const Mat& gate_up, Activation how) {
  const at::Tensor x = wide(t.of(gate_up.columns_at(0, out.cols))), to = t.of(out);
  if (how == Activation::gelu) {
    to.copy_(at::gelu(x, "none"));
    return;
  }
  const at::Tensor up = wide(t.of(gate_up.columns_at(out.cols, out.cols)));
  to.copy_((how == Activation::swiglu ? at::silu(x) : at::gelu(x, "tanh")).mul(up));
}

void gate_backward(const Tensors& t, const Mat& gate_up, const Mat& dout, Activation how) {
  const at::Tensor gate = t.of(gate_up.columns_at(0, dout.cols)), x = wide(gate), d = t.of(dout);
  if (how == Activation::gelu) {
    gate.copy_(at::gelu_backward(d, x, "none"));
    return;
  }
  const at::Tensor up = t.of(gate_up.columns_at(dout.cols, dout.cols)), u = wide(up).mul(d);
  const bool is_silu = how == Activation::swiglu;
  const at::Tensor dgate = is_silu ? at::silu_backward(u, x) : at::gelu_backward(u, x, "tanh");
  up.copy_((is_silu ? at::silu(x) : at::gelu(x, "tanh")).mul(d));
  gate.copy_(dgate);
}

namespace {
constexpr std::uint64_t golden_gamma = 0x9e3779b97f4a7c15;
std::int64_t bits_of(std::uint64_t value) {
  return static_cast<std::int64_t>(value);
}
at::Tensor shifted(const at::Tensor& z, int by) {  // to the right, zeros behind
  return z.bitwise_right_shift(by).bitwise_and(bits_of(~std::uint64_t{0} >> by));
}
at::Tensor mixed(const at::Tensor& z, int by) {
  return z.bitwise_xor(shifted(z, by));
}
at::Tensor low_half(const at::Tensor& z) {
  return z.bitwise_and(std::int64_t{0xffffffff});
}
// gpu/kernels/dropout_cpu.cpp in 64-bit lanes, of which the low 32 bits count; (T, C), true: stays.
at::Tensor mask_of(const Tensors& t, const DropoutMask& mask, std::int64_t begin, std::int64_t rows,
                   std::int64_t columns) {
  at::Tensor z = t.flat(mask.keys + begin, at::kLong, rows);
  z = z.add(bits_of(static_cast<std::uint64_t>(mask.module + 1) * golden_gamma));
  z = mixed(z, 30).mul(bits_of(0xbf58476d1ce4e5b9));
  z = mixed(z, 27).mul(bits_of(0x94d049bb133111eb));
  z = mixed(z, 31).unsqueeze(1);
  const at::Tensor low = low_half(z), high = shifted(z, 32);
  at::Tensor h = at::arange(columns, t.options(at::kLong)).unsqueeze(0);
  h = low_half(h.mul(std::int64_t{0x9e3779b9}).add(low));
  h = low_half(mixed(h, 16).mul(std::int64_t{0x85ebca6b}).add(high));
  h = low_half(mixed(h, 13).mul(std::int64_t{0xc2b2ae35}));
  const auto threshold = static_cast<std::int64_t>(std::floor(mask.p * 4294967296.0));
  return mixed(h, 16).ge(threshold);
}
}  // namespace

void dropout(const Tensors& t, const Mat& out, const Mat& x, const DropoutMask& mask, bool add) {
  const auto scale = static_cast<float>(1 / (1 - mask.p));
  in_pieces(x.rows, 4 * x.cols, [&](std::int64_t begin, std::int64_t rows) {
    const at::Tensor stays = mask_of(t, mask, begin, rows, x.cols);
    const at::Tensor factor = stays.to(at::kFloat).mul(scale);
    put(t.of(out.rows_at(begin, rows)), wide(t.of(x.rows_at(begin, rows))).mul(factor), add);
  });
}

Mat cross_entropy(const Tensors& t, const Mat& logits, const Mat& loss, const std::int32_t* targets,
                  float scale, Type type, float cap) {
  KAIRO_ASSERT(logits.is_dense(), "logits lie one row behind the other");
  const Mat result = type == Type::f32
                         ? logits
                         : Mat::of(type, logits.data, logits.rows, logits.cols, 2 * logits.cols);
  in_pieces(logits.rows, logits.cols, [&](std::int64_t begin, std::int64_t rows) {
    const at::Tensor x = t.of(logits.rows_at(begin, rows));
    const at::Tensor aim = t.indices(targets + begin, rows).to(at::kLong).unsqueeze(1);
    at::Tensor slope;
    if (cap > 0) {
      const at::Tensor share = x.div(cap).tanh();
      slope = share.square().neg().add(1);
      x.copy_(share.mul(cap));
    }
    const at::Tensor sums = at::logsumexp(x, {1}, true);
    t.of(loss.rows_at(begin, rows)).copy_(sums.sub(x.gather(1, aim)));
    x.sub_(sums).exp_().mul_(scale);
    x.scatter_(1, aim, x.gather(1, aim).sub(scale));
    if (cap > 0) x.mul_(slope);
    if (type != Type::f32) t.of(result.rows_at(begin, rows)).copy_(x.to(at::kBFloat16));
  });
  return result;
}

void softcap(const Tensors& t, const Mat& m, float cap) {
  t.of(m).div_(cap).tanh_().mul_(cap);
}

double length(const Tensors& t, const Mat& flat) {
  KAIRO_ASSERT(flat.is_dense(), "the sum is over one stretch");
  double sum = 0;
  const auto* data = static_cast<const float*>(flat.data);
  in_pieces(flat.rows * flat.cols, 2, [&](std::int64_t begin, std::int64_t count) {
    const at::Tensor part = t.flat(data + begin, at::kFloat, count).to(at::kDouble);
    sum += part.square().sum().item<double>();
  });
  return std::sqrt(sum);
}

void adamw(const Tensors& t, const Mat& p, const Mat& g, const Mat& m, const Mat& v,
           const AdamwStep& s) {
  const auto step = static_cast<double>(s.step);
  const double correction1 = 1 - std::pow(static_cast<double>(s.beta1), step);
  const double correction2 = 1 - std::pow(static_cast<double>(s.beta2), step);
  const auto rate = static_cast<float>(static_cast<double>(s.learning_rate) / correction1);
  const auto root2 = static_cast<float>(std::sqrt(correction2));
  const float keep = 1.0f - s.learning_rate * s.weight_decay;
  in_pieces(p.rows * p.cols, 4, [&](std::int64_t begin, std::int64_t count) {
    const auto part = [&](const Mat& of) {
      return t.flat(static_cast<const float*>(of.data) + begin, at::kFloat, count);
    };
    const at::Tensor first = part(m), second = part(v);
    const at::Tensor gradient = part(g).mul(s.gradient_scale);
    first.add_(gradient.sub(first).mul(1.0f - s.beta1));
    second.mul_(s.beta2).add_(gradient.square().mul(1.0f - s.beta2));
    const at::Tensor below = second.sqrt().div(root2).add(s.eps);
    part(p).mul_(keep).sub_(first.mul(rate).div(below));
  });
}
}  // namespace kairo::gpu::aten
