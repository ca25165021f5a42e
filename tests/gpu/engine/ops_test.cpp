// tests/gpu/engine/ops_test.cpp - what every device must answer at the seam: literal values, row
// strides, and that what lies beside a view stays.
#include "gpu/engine/ops.h"

#include <doctest/doctest.h>

#include <array>
#include <list>
#include <utility>
#include <vector>

#include "gpu/aten/aten_ops.h"
#include "gpu/kernels/cached_attention.h"
#include "tests/gpu/aten/emulated.h"
#include "tests/gpu/aten/on_gpu.h"

namespace kairo::gpu {
namespace {
using Values = std::vector<float>;
constexpr float beside = 77;  // what lies between the columns and the row stride

// Matrices on a device, made of literals; they live as long as this.
class Desk {
 public:
  explicit Desk(Ops& ops) : ops_(ops) {}
  Mat put(std::int64_t rows, std::int64_t cols, const Values& values, std::int64_t ld = 0) {
    const std::int64_t stride = ld == 0 ? cols : ld;
    Buffer host(rows * stride);
    for (std::int64_t i = 0; i < rows * stride; ++i) host.data()[i] = beside;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto at = static_cast<std::int64_t>(i);
      host.data()[at / cols * stride + at % cols] = values[i];
    }
    memory_.push_back(ops_.adopt(std::move(host)));
    return Mat::f32(memory_.back().data(), rows, cols, stride);
  }
  Mat room(std::int64_t rows, std::int64_t cols, std::int64_t ld = 0) {
    return put(rows, cols, {}, ld);
  }
  Values get(const Mat& m) {
    const Mat dense = room(m.rows, m.cols);
    ops_.copy(dense, m);
    const float* seen = ops_.seen(dense);
    return {seen, seen + m.rows * m.cols};
  }
  // What is only read, where kernels read it.
  template <class Values>
  const typename Values::value_type* held(const Values& values) {
    const std::size_t bytes = values.size() * sizeof(typename Values::value_type);
    memory_.push_back(ops_.held(values.data(), static_cast<std::int64_t>(bytes)));
    const void* data = memory_.back().data();
    return static_cast<const typename Values::value_type*>(data);
  }
  const std::int32_t* rows(std::vector<std::int32_t> values) {
    indices_.push_back(std::move(values));
    return ops_.placed(std::span<const std::int32_t>(indices_.back()));
  }

 private:
  Ops& ops_;
  std::list<Buffer> memory_;
  std::list<std::vector<std::int32_t>> indices_;
};
void check_near(const Values& got, const Values& wanted) {
  REQUIRE(got.size() == wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    CAPTURE(i);
    CHECK(got[i] == doctest::Approx(wanted[i]).epsilon(2e-6));
  }
}

void check_products(Ops& ops) {
  Desk d(ops);
  const Mat a = d.put(2, 2, {1, 2, 3, 4}, 3), b = d.put(2, 2, {5, 6, 7, 8}, 5);
  const Mat c = d.room(2, 2, 4);
  ops.gemm(c, a, b);
  check_near(d.get(c), {19, 22, 43, 50});
  CHECK(d.get(c.columns_at(2, 2)) == Values{beside, beside, beside, beside});
  ops.gemm(c, a, turned(b));
  check_near(d.get(c), {17, 23, 39, 53});
  ops.gemm(c, turned(a), b);
  check_near(d.get(c), {26, 30, 38, 44});
  ops.gemm(c, a, b, 2, 1);
  check_near(d.get(c), {64, 74, 124, 144});

  // Rank 2; of three modules side by side the first and the last, of 2 and 1 columns, are adapted.
  const Mat low = d.put(1, 4, {1, 10, 100, 1000}, 5), up = d.put(2, 3, {1, 2, 3, 4, 5, 6});
  const Mat sums = d.put(1, 4, {0.5f, 0.5f, 0.5f, 0.5f}, 6);
  const std::array<LowRankPart, 2> parts = {{{0, 2}, {3, 1}}};
  ops.add_low_rank(sums, low, up, parts);
  check_near(d.get(sums), {41.5f, 52.5f, 0.5f, 6300.5f});

  const Mat x = d.put(3, 2, {1, 2, 3, 4, 5, 6}, 4), y = d.room(3, 2, 3);
  const Values dense_b = {5, 6, 7, 8};
  const Frozen w = Frozen::of(Stored::f32, d.held(dense_b), 2, 2);
  ops.frozen(y, x, w);
  check_near(d.get(y), {17, 23, 39, 53, 61, 83});
  CHECK(d.get(y.columns_at(2, 1)) == Values{beside, beside, beside});
  const Values together = d.get(y);
  for (std::int64_t r = 0; r < 3; ++r) {  // alone: the same bits
    CAPTURE(r);
    const Mat alone = d.room(1, 2);
    ops.frozen(alone, x.rows_at(r, 1), w);
    const auto at = static_cast<std::size_t>(2 * r);
    CHECK(d.get(alone) == Values{together[at], together[at + 1]});
  }
  const Mat many = d.room(17, 2), ones = d.put(17, 2, Values(34, 1));
  ops.frozen(many, ones, w);
  check_near(d.get(many.rows_at(16, 1)), {11, 15});
}

void check_rows(Ops& ops) {
  Desk d(ops);
  const Mat table = d.put(3, 2, {1, 2, 3, 4, 5, 6}, 3), to = d.room(2, 2, 4);
  ops.gather(to, table, d.rows({2, 0}));
  CHECK(d.get(to) == Values{5, 6, 1, 2});
  ops.scatter(table, d.put(2, 2, {7, 8, 9, 10}), d.rows({1, 2}));
  CHECK(d.get(table) == Values{1, 2, 7, 8, 9, 10});
  CHECK(d.get(table.columns_at(2, 1)) == Values{beside, beside, beside});
  ops.copy(to, table.rows_at(1, 2), 0.5f);
  CHECK(d.get(to) == Values{3.5f, 4, 4.5f, 5});
  ops.add(to, table.first(2));
  CHECK(d.get(to) == Values{4.5f, 6, 11.5f, 13});
  ops.zero(to.columns_at(1, 1));
  CHECK(d.get(to) == Values{4.5f, 0, 11.5f, 0});
  CHECK(d.get(to.columns_at(2, 2)) == Values{beside, beside, beside, beside});

  Buffer host = ops.make_host(4);
  const Mat values = d.put(2, 2, {1, 2, 3, 4});
  const auto copying = ops.copy_out(host.data(), values);
  if (copying != nullptr) copying->finish_first();
  ops.zero(values);
  if (copying != nullptr) copying->wait();
  CHECK(Values(host.data(), host.data() + 4) == Values{1, 2, 3, 4});

  const std::array<std::uint8_t, 1> packed = {0x7f};  // zero, and the largest level
  const std::array<std::uint8_t, 1> scales = {255};   // 1 of the dynamic map
  const std::array<float, 1> group_scales = {2};
  const Nf4View nf4 = {d.held(packed), d.held(scales), d.held(group_scales), 0.5f};
  const Mat weights = d.room(2, 1, 3);
  ops.dequantise(weights, nf4);
  CHECK(d.get(weights) == Values{0, 2.5f});

  // Rows of a table as it is stored: 1, 2 and 3, -0.5 in each plain kind.
  const std::array<std::uint16_t, 4> bf16 = {0x3f80, 0x4000, 0x4040, 0xbf00};
  const std::array<std::uint16_t, 4> f16 = {0x3c00, 0x4000, 0x4200, 0xb800};
  const std::array<float, 4> f32 = {1, 2, 3, -0.5f};
  const Mat picked = d.room(3, 2, 3);
  for (const Frozen& of :
       {Frozen::of(Stored::bf16, d.held(bf16), 2, 2), Frozen::of(Stored::f16, d.held(f16), 2, 2),
        Frozen::of(Stored::f32, d.held(f32), 2, 2)}) {
    CAPTURE(name_of(of.kind));
    ops.decode(picked, of, d.rows({1, 0, 1}));
    CHECK(d.get(picked) == Values{3, -0.5f, 1, 2, 3, -0.5f});
    const Mat y = d.room(1, 2);
    ops.frozen(y, d.put(1, 2, {2, 4}), of);
    check_near(d.get(y), {10, 4});
  }
}

// A row of a block of each kind: the first values, by hand from ggml's layout.
void check_blocks(Ops& ops) {
  Desk d(ops);
  const auto first = [&](Stored kind, std::vector<std::uint8_t> bytes, std::int64_t count) {
    bytes.resize(static_cast<std::size_t>(bytes_per_block(kind)));
    const std::int64_t cols = values_per_block(kind);
    const Mat to = d.room(2, cols);
    const Frozen table = Frozen::of(kind, d.held(bytes), 1, cols);
    ops.decode(to, table, d.rows({0, 0}));
    Values all = d.get(to);
    CHECK(std::equal(all.begin(), all.begin() + cols, all.begin() + cols));
    const Mat y = d.room(1, 1);
    ops.frozen(y, d.put(1, cols, Values(static_cast<std::size_t>(cols), 1)), table);
    float sum = 0;
    for (std::int64_t i = 0; i < cols; ++i) sum += all[static_cast<std::size_t>(i)];
    check_near(d.get(y), {sum});
    all.resize(static_cast<std::size_t>(count));
    return all;
  };
  // 0x3800 is 0.5, 0x3c00 is 1.
  CHECK(first(Stored::q8_0, {0, 0x38, 2, 0xff, 0x80}, 4) == Values{1, -0.5f, -64, 0});
  CHECK(first(Stored::q4_0, {0, 0x38, 0x9f, 0x08}, 3) == Values{3.5f, 0, -4});
  CHECK(first(Stored::q4_1, {0, 0x38, 0, 0x3c, 0x9f, 0x08}, 3) == Values{8.5f, 5, 1});
  CHECK(first(Stored::q5_0, {0, 0x38, 2, 0, 0, 0, 0x9f, 0x08}, 3) == Values{-0.5f, 4, -8});
  CHECK(first(Stored::q5_1, {0, 0x38, 0, 0x3c, 2, 0, 0, 0, 0x9f, 0x08}, 3) == Values{8.5f, 13, 1});
  // Scale 3, minimum 2; then the nibbles.
  std::vector<std::uint8_t> pairs = {0, 0x38, 0, 0x3c, 3, 0, 0, 0, 2};
  pairs.resize(16);
  std::vector<std::uint8_t> nibbles = pairs;
  nibbles.push_back(0x9f);
  CHECK(first(Stored::q4_k, nibbles, 2) == Values{20.5f, -2});
  pairs.resize(48);
  pairs[16] = 1;  // the first value's fifth bit
  pairs.push_back(0x9f);
  CHECK(first(Stored::q5_k, pairs, 2) == Values{44.5f, -2});
  std::vector<std::uint8_t> q6(210);
  q6[0] = 0x9f, q6[128] = 3, q6[192] = 0xfe, q6[209] = 0x38;  // 63 - 32 times -2 times 0.5
  CHECK(first(Stored::q6_k, q6, 2) == Values{-31, 32});
}

void check_parts(Ops& ops) {
  Desk d(ops);
  const Mat x = d.put(1, 2, {3, 4}), weight = d.put(1, 2, {1, 2}), inverse = d.room(1, 1);
  const Mat out = d.room(1, 2, 3), dx = d.put(1, 2, {10, 10});
  ops.norm(out, inverse, x, weight, 0);
  check_near(d.get(out), {0.84852814f, 2.26274170f});
  check_near(d.get(inverse), {0.28284271f});
  ops.norm_backward(dx, d.put(1, 2, {1, 0}, 3), x, inverse, weight, true);
  check_near(d.get(dx), {10.1810193f, 9.8642355f});

  // Groups as wide as the weight, on their own; without `add` in place.
  const Mat pairs = d.put(1, 4, {3, 4, 0, 5}, 6), each = d.room(1, 2);
  const Mat normed = d.room(1, 4);
  ops.norm(normed, each, pairs, weight, 0);
  check_near(d.get(normed), {0.84852814f, 2.26274170f, 0, 2.82842712f});
  const Mat dpairs = d.put(1, 4, {1, 0, 0, 1}, 5);
  ops.norm_backward(dpairs, dpairs, pairs, each, weight, false);
  check_near(d.get(dpairs), {0.18101934f, -0.13576450f, 0, 0});

  const Mat bias = d.put(1, 2, {10, 20}), even = d.put(1, 2, {1, 3}), dall = d.put(1, 2, {7, 7});
  ops.layer_norm(out, inverse, even, weight, bias, 0);
  CHECK(d.get(out) == Values{9, 22});
  CHECK(d.get(inverse) == Values{1});
  ops.layer_norm_backward(dall, d.put(1, 2, {1, 3}), even, inverse, weight);
  CHECK(d.get(dall) == Values{7, 7});  // of two values the norm knows the order only

  // Two heads of two values at position 1, where the table turns by a right angle.
  const Mat heads = d.put(1, 4, {1, 2, 3, 4}, 6);
  const RopeMats table = {d.put(2, 1, {1, 0}), d.put(2, 1, {0, 1})};
  ops.rope(heads, table, d.rows({1}), 2, false);
  CHECK(d.get(heads) == Values{-2, 1, -4, 3});
  ops.rope(heads, table, d.rows({1}), 2, true);
  CHECK(d.get(heads) == Values{1, 2, 3, 4});

  const Mat gate_up = d.put(2, 2, {1, 2, 0, 5}), gated = d.room(2, 1, 2);
  ops.gate(gated, gate_up, gate_up, Activation::swiglu);
  check_near(d.get(gated), {1.46211716f, 0});
  ops.gate_backward(gate_up, d.put(2, 1, {1, 1}, 2), Activation::swiglu);
  check_near(d.get(gate_up), {1.85534098f, 0.73105858f, 2.5f, 0});

  const Mat both = d.put(1, 2, {1, 2}), alone = d.put(1, 2, {1, -1}), left_one = d.room(1, 1);
  ops.gate(left_one, both, both, Activation::geglu);
  check_near(d.get(left_one), {1.68238382f});
  ops.gate_backward(both, d.put(1, 1, {1}), Activation::geglu);
  check_near(d.get(both), {2.16592790f, 0.84119199f});
  ops.gate(out, alone, alone, Activation::gelu);
  check_near(d.get(out), {0.84134475f, -0.15865525f});
  ops.gate_backward(alone, d.put(1, 2, {1, 1}), Activation::gelu);
  check_near(d.get(alone), {1.08331547f, -0.08331547f});

  const Mat capped = d.put(1, 3, {0.3f, -3, 30});
  ops.softcap(capped, 3);
  check_near(d.get(capped), {0.29900398f, -2.28478247f, 3});

  const std::array<std::uint64_t, 2> keys = {11, 12};
  const DropoutMask mask = {ops.placed(std::span<const std::uint64_t>(keys)), 3, 0.5};
  const Mat full = d.put(2, 4, Values(8, 3), 5), dropped = d.room(2, 4),
            sum = d.put(2, 4, Values(8, 1));
  ops.dropout(dropped, full, mask);
  ops.dropout_add(sum, full, mask);
  Values left, added;
  for (const std::uint64_t key : keys)
    for (std::int64_t i = 0; i < 4; ++i) {
      left.push_back(dropout_keeps(mask, key, i) ? 6.0f : 0.0f);
      added.push_back(1 + left.back());
    }
  CHECK(d.get(dropped) == left);
  CHECK(d.get(sum) == added);
}

// Two query heads, one key head, one value each: a row of qkv is q0, q1, k, v. Of the first
// sequence's second row, head 0 weighs the keys alike, head 1 as 1 : 3; another sequence follows.
void check_attention(Ops& ops) {
  Desk d(ops);
  const Heads heads = {2, 1, 1};
  const float ln3 = 1.09861229f;
  const Values rows = {0, 0, 0, 1, 0, ln3, 1, 3, 9, 9, 9, 5};
  const Mat qkv = d.put(3, 4, rows), out = d.room(3, 2, 5);
  const Ragged ragged = {d.rows({0, 2, 3}), d.rows({0, 1, 0}), 2, 2, 3};
  ops.attention(out, qkv, heads, ragged);
  check_near(d.get(out), {1, 1, 2, 2.5f, 5, 5});
  CHECK(d.get(out.columns_at(2, 1)) == Values{beside, beside, beside});

  // Only row 1 of head 0 counts: p = (1/2, 1/2), dp = v, ds = p (dp - 2).
  const Mat dqkv = d.room(3, 4);
  ops.attention_backward(dqkv, d.put(3, 2, {0, 0, 1, 0, 0, 0}, 3), out, qkv, heads, ragged);
  check_near(d.get(dqkv), {0, 0, 0, 0.5f, 0.5f, 0, 0, 0.5f, 0, 0, 0, 0});

  // The same rows in two rounds: slot 1 has the first sequence, slot 0 the other. Two layers.
  const Mat keys = d.room(2 * 2 * 2, 1), values = d.room(2 * 2 * 2, 1), part = d.room(2, 2);
  const KvCache cache = {keys, values, 2, 2, d.rows({1, 0})};
  ops.cached_attention(part, d.put(2, 4, {0, 0, 0, 1, 9, 9, 9, 5}), heads,
                       {d.rows({0, 1, 2}), d.rows({0, 0}), 2, 1, 2}, cache, 1);
  check_near(d.get(part), {1, 1, 5, 5});
  ops.cached_attention(part.first(1), d.put(1, 4, {0, ln3, 1, 3}), heads,
                       {d.rows({0, 1}), d.rows({1}), 1, 1, 1}, cache, 1);
  check_near(d.get(part.first(1)), {2, 2.5f});
  CHECK(d.get(values) == Values{beside, beside, 5, beside, beside, beside, 1, 3});
}

void check_step(Ops& ops) {
  Desk d(ops);
  const Mat logits = d.put(2, 2, {0, 0, 0, 1.09861229f}), loss = d.room(2, 1);
  const Mat dlogits = ops.cross_entropy(logits, loss, d.rows({1, 0}), 2, Type::f32);
  check_near(d.get(loss), {0.69314718f, 1.38629436f});
  check_near(d.get(dlogits), {1, -1, -1.5f, 1.5f});
  CHECK(ops.length(d.put(1, 2, {3, -4})) == doctest::Approx(5));

  const Mat p = d.put(1, 2, {1, 2}), g = d.put(1, 2, {4, -8}), m = d.put(1, 2, {0, 0}),
            v = d.put(1, 2, {0, 0});
  ops.adamw(p, g, m, v, {0.5f, 0.5f, 0.75f, 0, 0.5f, 1, 0.5f});
  check_near(d.get(p), {0.25f, 2});  // decayed by a quarter, then half a step along the sign
  check_near(d.get(m), {1, -2});
  check_near(d.get(v), {1, 4});
}
void check_all_calls(Ops& ops) {
  ops.enter();
  check_products(ops);
  check_rows(ops);
  check_parts(ops);
  check_blocks(ops);
  check_attention(ops);
  check_step(ops);
}
}  // namespace

TEST_CASE("each device answers as the seam says") {
  struct Row {
    const char* name;
    std::unique_ptr<Ops> ops;
  };
  Row devices[] = {{"CPU", make_cpu_ops(2, cached_attention_scratch(4, 2))},
                   {"ATen", make_aten_ops("cpu", 2)},
                   {"kernels", make_cuda_ops("cpu", 2, test::emulated_kernels())}};
  for (const Row& device : devices) {
    CAPTURE(device.name);
    check_all_calls(*device.ops);
  }
}
TEST_CASE("so do kairo's kernels on a GPU") {
  if (const DevicePtr gpu = test::gpu()) check_all_calls(*gpu->make(2).value());
}

TEST_CASE("a view's parts keep stride and type") {
  std::array<float, 12> values{};
  const Mat m = Mat::f32(values.data(), 3, 2, 4);
  const Mat part = m.rows_at(1, 2).columns_at(2, 2);
  CHECK(part.data == values.data() + 6);
  CHECK(part.rows == 2);
  CHECK(part.ld == 4);
  CHECK_FALSE(part.is_dense());
  CHECK(part.first(1).is_dense());
  const Mat half = {values.data(), Type::bf16, 3, 4, 4};
  CHECK(half.rows_at(2, 1).data == values.data() + 4);
  CHECK(half.flat_at(6, 1, 2).data == values.data() + 3);
}
}  // namespace kairo::gpu
