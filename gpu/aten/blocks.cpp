// gpu/aten/blocks.cpp - one expression a kind, over all blocks at once; the formats are those of
// gpu/formats/stored.cpp, and so is the order of its products and sums.
#include "gpu/aten/blocks.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>

#include "schemas/base/assert.h"

namespace kairo::gpu::aten {
namespace {
// b: (blocks, bytes of one).
at::Tensor half_at(const at::Tensor& b, std::int64_t at) {  // (blocks, 1)
  return b.narrow(1, at, 2).contiguous().view(at::kHalf).to(at::kFloat);
}
at::Tensor low(const at::Tensor& bytes) {
  return bytes.bitwise_and(15);
}
at::Tensor high(const at::Tensor& bytes) {
  return bytes.bitwise_right_shift(4);
}
at::Tensor shifts(const at::Tensor& like, std::int64_t count, std::int64_t step) {
  return at::arange(0, count * step, step, like.options());
}
at::Tensor signed_bytes(const at::Tensor& b, std::int64_t at, std::int64_t count) {
  return b.narrow(1, at, count).contiguous().view(at::kChar).to(at::kFloat);
}
// 32 values: low nibbles of 16 bytes, then high ones; perhaps with fifth bits. (blocks, 32)
at::Tensor codes_of(const at::Tensor& b, std::int64_t nibbles) {
  const at::Tensor both = b.narrow(1, nibbles, 16);
  return at::cat({low(both), high(both)}, 1);
}
at::Tensor fifths_of(const at::Tensor& b, std::int64_t at) {
  const at::Tensor bits = b.narrow(1, at, 4).unsqueeze(2).bitwise_right_shift(shifts(b, 8, 1));
  return bits.bitwise_and(1).mul(16).reshape({b.size(0), 32});
}
at::Tensor around(const at::Tensor& codes, int zero) {
  return codes.to(at::kFloat).sub(zero);
}
// 256 values in eights of 32, each with a scale and a minimum of six bits.
at::Tensor of_pairs(const at::Tensor& b, bool has_fifth) {
  const std::int64_t n = b.size(0);
  const at::Tensor first = b.narrow(1, 4, 4), second = b.narrow(1, 8, 4),
                   third = b.narrow(1, 12, 4);
  const auto top = [](const at::Tensor& of) { return of.bitwise_right_shift(6).mul(16); };
  const at::Tensor scales =
      at::cat({first.bitwise_and(63), low(third).bitwise_or(top(first))}, 1).to(at::kFloat);
  const at::Tensor minima =
      at::cat({second.bitwise_and(63), high(third).bitwise_or(top(second))}, 1).to(at::kFloat);
  const at::Tensor both = b.narrow(1, has_fifth ? 48 : 16, 128).reshape({n, 4, 32});
  at::Tensor codes = at::stack({low(both), high(both)}, 2).reshape({n, 8, 32});
  if (has_fifth) {
    const at::Tensor bits =
        b.narrow(1, 16, 32).unsqueeze(1).bitwise_right_shift(shifts(b, 8, 1).unsqueeze(1));
    codes = codes.bitwise_or(bits.bitwise_and(1).mul(16));
  }
  const at::Tensor scale = half_at(b, 0).mul(scales).unsqueeze(2);
  const at::Tensor minimum = half_at(b, 2).mul(minima).unsqueeze(2);
  return codes.to(at::kFloat).mul(scale).sub(minimum);
}
at::Tensor of_q6_k(const at::Tensor& b) {
  const std::int64_t n = b.size(0);
  const at::Tensor both = b.narrow(1, 0, 128).reshape({n, 2, 2, 32});
  const at::Tensor four = at::stack({low(both), high(both)}, 2).reshape({n, 2, 4, 32});
  const at::Tensor two = b.narrow(1, 128, 64)
                             .reshape({n, 2, 1, 32})
                             .bitwise_right_shift(shifts(b, 4, 2).unsqueeze(1))
                             .bitwise_and(3);
  const at::Tensor codes = around(four.bitwise_or(two.mul(16)), 32).reshape({n, 16, 16});
  const at::Tensor scale = half_at(b, 208).mul(signed_bytes(b, 192, 16)).unsqueeze(2);
  return codes.mul(scale);
}
at::Tensor values_of(Stored kind, const at::Tensor& b) {
  switch (kind) {
    case Stored::q8_0:
      return signed_bytes(b, 2, 32).mul(half_at(b, 0));
    case Stored::q4_0:
      return around(codes_of(b, 2), 8).mul(half_at(b, 0));
    case Stored::q4_1:
      return codes_of(b, 4).to(at::kFloat).mul(half_at(b, 0)).add(half_at(b, 2));
    case Stored::q5_0:
      return around(codes_of(b, 6).add(fifths_of(b, 2)), 16).mul(half_at(b, 0));
    case Stored::q5_1:
      return codes_of(b, 8)
          .add(fifths_of(b, 4))
          .to(at::kFloat)
          .mul(half_at(b, 0))
          .add(half_at(b, 2));
    case Stored::q4_k:
      return of_pairs(b, false);
    case Stored::q5_k:
      return of_pairs(b, true);
    case Stored::q6_k:
      return of_q6_k(b);
    case Stored::f32:
    case Stored::bf16:
    case Stored::f16:
      break;
  }
  KAIRO_ASSERT(false, "plain numbers are no blocks");
  return {};
}
}  // namespace

at::Tensor block_values(Stored kind, const at::Tensor& bytes) {
  const std::int64_t rows = bytes.size(0);
  return values_of(kind, bytes.reshape({-1, bytes_per_block(kind)})).reshape({rows, -1});
}
}  // namespace kairo::gpu::aten
