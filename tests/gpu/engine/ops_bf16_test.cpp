// tests/gpu/engine/ops_bf16_test.cpp - the seam's calls in bf16 against the same calls in fp32 on
// the same values, at awkward sizes.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>
#include <list>
#include <vector>

#include "gpu/aten/aten_ops.h"
#include "gpu/engine/ops.h"
#include "gpu/kernels/bf16.h"
#include "gpu/plan/attention_rows.h"

namespace kairo::gpu {
namespace {
using Floats = std::vector<float>;
// What is rounded to bf16 once is off by at most 2^-8 of itself; attention rounds probabilities,
// their gradient and its result. Sums in another order differ by far less.
constexpr double rounding = 1.0 / 256, in_attention = 4 * rounding;

// Matrices of values that bf16 can hold, in either type; they live as long as this.
class Table {
 public:
  explicit Table(Ops& ops) : ops_(ops) {}
  Mat room(Type type, std::int64_t rows, std::int64_t cols, std::int64_t beside = 0) {
    const std::int64_t ld = cols + beside;
    return adopted(filled(floats_of(type, rows * ld)), type, rows, cols, ld);
  }
  // Both: {bf16, fp32}, the same values in [-1, 1] times `size`.
  std::array<Mat, 2> both(std::int64_t rows, std::int64_t cols, std::int64_t beside = 0,
                          float size = 1) {
    const std::int64_t ld = cols + beside;
    Buffer host = filled(rows * ld);
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < cols; ++c) {
        seed_ = seed_ * 6364136223846793005u + 1442695040888963407u;
        const float u = static_cast<float>(seed_ >> 40) / 8388608.0f - 1;
        host.data()[r * ld + c] = float_of_bf16(bf16_of_float(u * size));
      }
    const Mat wide = adopted(std::move(host), Type::f32, rows, cols, ld);
    const Mat narrow = room(Type::bf16, rows, cols, beside);
    ops_.copy(narrow, wide);
    return {narrow, wide};
  }
  Floats get(const Mat& m) {
    const Mat dense = room(Type::f32, m.rows, m.cols);
    ops_.copy(dense, m);
    const float* seen = ops_.seen(dense);
    return {seen, seen + m.rows * m.cols};
  }
  template <class Values>
  const typename Values::value_type* held(const Values& values) {
    const std::size_t bytes = values.size() * sizeof(typename Values::value_type);
    memory_.push_back(ops_.held(values.data(), static_cast<std::int64_t>(bytes)));
    const void* data = memory_.back().data();
    return static_cast<const typename Values::value_type*>(data);
  }

 private:
  static Buffer filled(std::int64_t floats) {
    Buffer host(floats);
    std::fill_n(static_cast<char*>(static_cast<void*>(host.data())), 4 * floats, char{0x44});
    return host;
  }
  Mat adopted(Buffer host, Type type, std::int64_t rows, std::int64_t cols, std::int64_t ld) {
    memory_.push_back(ops_.adopt(std::move(host)));
    return Mat::of(type, memory_.back().data(), rows, cols, ld);
  }
  Ops& ops_;
  std::list<Buffer> memory_;
  std::uint64_t seed_ = 7;
};
// All of got within `share` of the largest of wanted.
void check_near(const Floats& got, const Floats& wanted, double share) {
  REQUIRE(got.size() == wanted.size());
  double largest = 0, off = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    largest = std::max(largest, static_cast<double>(std::fabs(wanted[i])));
    off = std::max(off, static_cast<double>(std::fabs(got[i] - wanted[i])));
  }
  CHECK(off <= share * largest);
}

struct Shape {
  std::int64_t m, n, k;
};
void check_products(Ops& ops, double exactness) {
  for (const Shape s : {Shape{1, 1, 1}, {3, 5, 7}, {17, 33, 65}, {2, 576, 31}, {130, 48, 64}})
    for (const bool turn_a : {false, true})
      for (const bool turn_b : {false, true}) {
        CAPTURE(s.m);
        Table t(ops);
        const auto a = t.both(turn_a ? s.k : s.m, turn_a ? s.m : s.k, 3);
        const auto b = t.both(turn_b ? s.n : s.k, turn_b ? s.k : s.n, 1);
        const Mat c = t.room(Type::f32, s.m, s.n, 2), wanted = t.room(Type::f32, s.m, s.n);
        const Floats beside = t.get(c.columns_at(s.n, 2));
        const auto run = [&](const Mat& to, std::size_t type, float alpha, float beta) {
          ops.gemm(to, Factor(a[type], turn_a), Factor(b[type], turn_b), alpha, beta);
        };
        run(c, 0, 1, 0);
        run(wanted, 1, 1, 0);
        check_near(t.get(c), t.get(wanted), exactness);
        run(c, 0, 0.5f, 1);
        run(wanted, 1, 0.5f, 1);
        check_near(t.get(c), t.get(wanted), exactness);
        CHECK(t.get(c.columns_at(s.n, 2)) == beside);
        const Mat rounded = t.room(Type::bf16, s.m, s.n, 1);
        run(rounded, 0, 2, 0);
        run(wanted, 1, 2, 0);
        check_near(t.get(rounded), t.get(wanted), exactness + rounding);
      }
}

void check_attention(Ops& ops, const Heads& heads, double share) {
  CAPTURE(heads.window);
  CAPTURE(heads.cap);
  Table t(ops);
  const std::array<std::int32_t, 4> starts = {0, 1, 66, 196};  // rows: 1, 65, 130
  const Ragged rows = {ops.placed(std::span<const std::int32_t>(starts)), nullptr, 3, 130, 196};
  const auto qkv = t.both(196, heads.columns(), 0, 2);
  const Mat dout = t.both(196, heads.queries * heads.dim, 5)[1];
  std::array<Floats, 2> outs, gradients;
  for (std::size_t i = 0; i < 2; ++i) {
    const Mat out = t.room(i == 0 ? Type::bf16 : Type::f32, 196, heads.queries * heads.dim, 3);
    const Mat dqkv = t.room(Type::f32, 196, heads.columns());
    ops.attention(out, qkv[i], heads, rows);
    ops.attention_backward(dqkv, dout, out, qkv[i], heads, rows);
    outs[i] = t.get(out);
    gradients[i] = t.get(dqkv);
  }
  check_near(outs[0], outs[1], share);
  check_near(gradients[0], gradients[1], share);
}

void check_parts(Ops& ops) {
  for (const std::int64_t cols : {1, 17, 64, 577}) {
    CAPTURE(cols);
    Table t(ops);
    const Mat x = t.both(5, cols)[1], weight = t.both(1, cols)[1], bias = t.both(1, cols)[1];
    const Mat out = t.room(Type::bf16, 5, cols, 3), wanted = t.room(Type::f32, 5, cols);
    const Mat inverse = t.room(Type::f32, 5, 1), wide_inverse = t.room(Type::f32, 5, 1);
    ops.norm(out, inverse, x, weight, 1e-5f);
    ops.norm(wanted, wide_inverse, x, weight, 1e-5f);
    check_near(t.get(out), t.get(wanted), rounding);
    check_near(t.get(inverse), t.get(wide_inverse), 1e-6);
    ops.layer_norm(out, inverse, x, weight, bias, 1e-5f);
    ops.layer_norm(wanted, wide_inverse, x, weight, bias, 1e-5f);
    check_near(t.get(out), t.get(wanted), rounding);

    for (const Activation how : {Activation::swiglu, Activation::geglu, Activation::gelu}) {
      CAPTURE(static_cast<int>(how));
      const auto gate_up = t.both(5, how == Activation::gelu ? cols : 2 * cols, 0, 3);
      const Mat dout = t.both(5, cols, 2)[1];
      const Mat kept = t.room(Type::bf16, 5, gate_up[1].cols);
      ops.gate(out, kept, gate_up[1], how);  // takes its values of fp32
      CHECK(t.get(kept) == t.get(gate_up[1]));
      ops.gate(wanted, gate_up[1], gate_up[1], how);
      check_near(t.get(out), t.get(wanted), rounding);
      const Floats first = t.get(out);
      ops.gate(out, kept, kept, how);
      CHECK(t.get(out) == first);
      ops.gate_backward(kept, dout, how);
      ops.gate_backward(gate_up[1], dout, how);
      check_near(t.get(kept), t.get(gate_up[1]), rounding);
    }

    const std::array<std::uint64_t, 5> keys = {1, 2, 3, 4, 5};
    const DropoutMask mask = {ops.placed(std::span<const std::uint64_t>(keys)), 3, 0.25};
    const auto full = t.both(5, cols, 1);
    ops.dropout(out, full[0], mask);
    ops.dropout(wanted, full[1], mask);
    check_near(t.get(out), t.get(wanted), rounding);

    const std::array<std::int32_t, 5> targets = {0, 0, static_cast<std::int32_t>(cols - 1), 0, 0};
    for (const float cap : {0.0f, 2.0f}) {
      const Mat logits = t.both(5, cols, 0, 4)[1], again = t.room(Type::f32, 5, cols);
      ops.copy(again, logits);
      const Mat loss = t.room(Type::f32, 5, 1), wide_loss = t.room(Type::f32, 5, 1);
      const auto* aims = ops.placed(std::span<const std::int32_t>(targets));
      const Mat narrow = ops.cross_entropy(logits, loss, aims, 0.5f, Type::bf16, cap);
      CHECK(narrow.type == Type::bf16);
      const Mat wide = ops.cross_entropy(again, wide_loss, aims, 0.5f, Type::f32, cap);
      check_near(t.get(loss), t.get(wide_loss), 2e-6);
      check_near(t.get(narrow), t.get(wide), rounding);
    }
  }
}
}  // namespace

TEST_CASE("bf16: rounding is to the nearest, ties to even") {
  const float inf = std::numeric_limits<float>::infinity();
  struct Row {
    float from, to;
  };
  for (const Row& row : {Row{1, 1},
                         {-0.0f, -0.0f},
                         {1.00390625f, 1},
                         {1.01171875f, 1.015625f},
                         {1.005f, 1.0078125f},
                         {3.3961775e38f, inf},
                         {-inf, -inf},
                         {1e-40f, 9.18355e-41f},
                         {65537, 65536}}) {
    CAPTURE(row.from);
    const float got = float_of_bf16(bf16_of_float(row.from));
    CHECK((got == row.to || std::fabs(got / row.to - 1) < 1e-4f));
    CHECK(std::signbit(got) == std::signbit(row.to));
  }
  CHECK(std::isnan(float_of_bf16(bf16_of_float(std::numeric_limits<float>::quiet_NaN()))));
  CHECK(bf16_of_float(std::bit_cast<float>(0x7f800001u)) == 0x7fc0);  // a NaN of low bits only
}

namespace {
void check_all(Ops& ops, double exactness) {
  ops.enter();
  check_products(ops, exactness);
  check_parts(ops);
  for (const std::int64_t window : {0, 1, 40})
    for (const float cap : {0.0f, 5.0f})
      check_attention(ops, {4, 2, 24, window, 0.3f, cap, window == 40}, in_attention);
  Table t(ops);
  const auto table = t.both(3, 9, 2);
  const std::array<std::int32_t, 4> picked = {2, 0, 0, 1};
  const Mat rows = t.room(Type::f32, 4, 9, 1), wanted = t.room(Type::f32, 4, 9);
  const auto* at = ops.placed(std::span<const std::int32_t>(picked));
  ops.gather(rows, table[0], at);
  ops.gather(wanted, table[1], at);
  CHECK(t.get(rows) == t.get(wanted));
  ops.zero(table[0].columns_at(4, 2));
  ops.zero(table[1].columns_at(4, 2));
  CHECK(t.get(table[0]) == t.get(table[1]));

  const std::array<std::uint8_t, 1> packed = {0x7e};
  const std::array<std::uint8_t, 1> scales = {255};
  const std::array<float, 1> group_scales = {2};
  const Mat weights = t.room(Type::bf16, 2, 1, 3);
  ops.dequantise(weights, {t.held(packed), t.held(scales), t.held(group_scales), 0.5f});
  CHECK(t.get(weights) == Floats{0, 1.8046875f});  // 2.5 * 0.72295684, rounded
}
}  // namespace

TEST_CASE("bf16: the CPU's calls are those of fp32, rounded") {
  for (const Products products : {Products::mkl, Products::onednn}) {
    CAPTURE(name_of(products));
    // oneDNN is called on CPUs with the instructions only; MKL emulates these few.
    if (products == Products::onednn && !is_possible(products)) {
      MESSAGE("SKIP: oneDNN has no bf16 products on this CPU");
      continue;
    }
    const auto ops =
        make_cpu_ops(13, scores_to_train_bf16(130, 24), products);  // parts share heads
    check_all(*ops, products == Products::mkl ? 1e-5 : rounding);
  }
}

TEST_CASE("bf16: so are ATen's") {
  check_all(*make_aten_ops("cpu", 2), 1e-5);
}
}  // namespace kairo::gpu
