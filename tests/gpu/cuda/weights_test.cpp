// tests/gpu/cuda/weights_test.cpp - stored weights on the device: NF4 gives the bytes of the CPU's
// kernel, and products with what is stored its values.
#include "gpu/kernels/frozen_matmul.h"
#include "gpu/kernels/nf4.h"
#include "tests/gpu/cuda/desk.h"

namespace kairo::gpu::test {
namespace {
struct Packed {
  std::vector<std::uint8_t> packed, scales;
  Values group_scales;
  float offset = 0;
  Nf4View view() const { return {packed.data(), scales.data(), group_scales.data(), offset}; }
};
Packed packed_of(const Values& w) {
  const auto n = static_cast<std::int64_t>(w.size());
  const auto blocks = static_cast<std::size_t>(nf4_blocks(n));
  Packed p;
  Values absmax(blocks);
  p.packed.resize(static_cast<std::size_t>(nf4_bytes(n)));
  nf4_quantize_cpu(p.packed.data(), absmax.data(), w.data(), n);
  for (const float a : absmax) p.offset += a / static_cast<float>(blocks);
  p.scales.resize(blocks);
  p.group_scales.resize(static_cast<std::size_t>(nf4_groups(n)));
  nf4_quantize_scales_cpu(p.scales.data(), p.group_scales.data(), absmax.data(), p.offset,
                          static_cast<std::int64_t>(blocks));
  return p;
}
KairoNf4 placed(Desk& d, const Packed& p) {
  const auto map = dynamic_map();
  return {d.put(p.packed), d.put(p.scales), d.put(p.group_scales),
          d.put(Values(map.begin(), map.end())), p.offset};
}
Values wanted(const Packed& p, const Shape& s) {
  Values all(static_cast<std::size_t>(s.count()));
  nf4_dequantize_cpu(all.data(), s.cols, p.view(), s.rows, s.cols);
  return rounded_as(all, s.type);
}
}  // namespace

TEST_CASE("cuda: NF4 gives the bytes of the CPU's kernel") {
  // Whole runs of 8 with aligned rows; then rows that end within a run, odd ones, unaligned ones.
  const Shape shapes[] = {{37, 640, 656},  {1, 8, 8},    {130, 136, 144}, {300, 64, 64},
                          {2, 2056, 2064}, {4, 8, 9},    {1, 1, 1},       {3, 31, 33},
                          {5, 127, 127},   {33, 65, 70}, {2, 1023, 1024}, {70, 264, 268}};
  in_each_order([&] {
    for (Shape s : shapes)
      for (const std::int32_t type : {kairo_f32, kairo_bf16}) {
        CAPTURE(s.rows);
        CAPTURE(s.cols);
        CAPTURE(type);
        s.type = type;
        Desk d;
        const Packed p = packed_of(values(s.count(), 7, 0.02f));
        const KairoMat out = d.room(s);
        REQUIRE(plugin().dequantise(out, placed(d, p), nullptr) == 0);
        CHECK(is_same(d.get(out), wanted(p, s)));
        CHECK(d.is_around_kept());
      }
  });
}

TEST_CASE("cuda: rows of NF4 are gathered") {
  in_each_order([&] {
    for (const std::int32_t type : {kairo_f32, kairo_bf16}) {
      Desk d;
      const Shape all = {7, 95, 95, type}, some = {4, 95, 101, type};
      const Packed p = packed_of(values(all.count(), 3));
      const Indices rows = {6, 0, 3, 3};
      const KairoMat out = d.room(some);
      REQUIRE(plugin().decode_nf4(out, placed(d, p), d.put(rows), nullptr) == 0);
      const Values table = wanted(p, all);
      Values picked;
      for (const std::int32_t r : rows)
        picked.insert(picked.end(), table.begin() + r * 95, table.begin() + (r + 1) * 95);
      CHECK(is_same(d.get(out), picked));
      CHECK(d.is_around_kept());
    }
  });
}

namespace {
// A matrix in each kind, for the host and on the device.
struct Matrices {
  Values f32;
  std::vector<std::uint16_t> halves[2];  // bf16, f16: of magnitudes that both have
  Packed nf4;
  explicit Matrices(std::int64_t n) : f32(values(n, 5, 0.02f)), nf4(packed_of(f32)) {
    for (std::size_t i = 0; i < f32.size(); ++i) {
      halves[0].push_back(bf16_of_float(f32[i]));
      // A sign, an exponent of 2^-6 to 2^-3 or a subnormal one, and a fraction.
      const auto bits = static_cast<std::uint32_t>(i * 2654435761u >> 7);
      const std::uint32_t exponent = i % 50 == 0 ? 0 : 9 + (bits >> 10 & 3);
      halves[1].push_back(
          static_cast<std::uint16_t>((bits >> 13 & 1) << 15 | exponent << 10 | (bits & 1023)));
    }
  }
  Frozen host(std::int32_t kind, std::int64_t rows, std::int64_t cols) const {
    if (kind == kairo_nf4) return Frozen::of(nf4.view(), rows, cols);
    if (kind == kairo_f32) return Frozen::of(Stored::f32, f32.data(), rows, cols);
    return kind == kairo_bf16 ? Frozen::of(Stored::bf16, halves[0].data(), rows, cols)
                              : Frozen::of(Stored::f16, halves[1].data(), rows, cols);
  }
  KairoFrozen placed_in(Desk& d, std::int32_t kind, std::int64_t rows, std::int64_t cols) const {
    if (kind == kairo_nf4) return {nullptr, placed(d, nf4), rows, cols, kind};
    if (kind == kairo_f32) return {d.put(f32), {}, rows, cols, kind};
    return {d.put(halves[kind == kairo_bf16 ? 0 : 1]), {}, rows, cols, kind};
  }
};
constexpr std::int32_t kinds[] = {kairo_f32, kairo_bf16, kairo_f16, kairo_nf4};
}  // namespace

TEST_CASE("cuda: rows times a stored matrix give the CPU's values, and no row changes another") {
  struct Product {
    std::int64_t outs, cols, ld_x;
  };
  // Less than a warp's values, all of a block's rows and one more, parts of what is staged.
  const Product products[] = {{5, 64, 64}, {33, 264, 267}, {3, 2056, 2056}};
  in_each_order([&] {
    for (const Product& p : products) {
      const Matrices w(p.outs * p.cols);
      const Values in = values(11 * p.cols, 3);
      for (const std::int32_t kind : kinds) {
        CAPTURE(p.cols);
        CAPTURE(kind);
        Values wanted(static_cast<std::size_t>(11 * p.outs)), of_one;
        std::vector<float> scratch(static_cast<std::size_t>(frozen_matmul_scratch(11, p.cols, 1)));
        const Frozen host = w.host(kind, p.outs, p.cols);
        frozen_matmul_cpu(wanted.data(), p.outs, in.data(), p.cols, 11, std::span(&host, 1),
                          scratch.data(), 1);
        for (const std::int64_t T : {11, 4, 2, 1}) {
          Desk d;
          const auto first = static_cast<std::ptrdiff_t>(T * p.cols);
          const KairoMat x = d.put({T, p.cols, p.ld_x}, Values(in.begin(), in.begin() + first));
          const KairoMat y = d.room({T, p.outs, p.outs + 2});
          REQUIRE(plugin().frozen(y, x, w.placed_in(d, kind, p.outs, p.cols), nullptr) == 0);
          const Values out = d.get(y);
          const Values all(wanted.begin(),
                           wanted.begin() + static_cast<std::ptrdiff_t>(T * p.outs));
          CHECK(apart(out, all) <= of_sums);
          CHECK(d.is_around_kept());
          const Values row(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(p.outs));
          if (of_one.empty()) of_one = row;
          CHECK(is_same(row, of_one));  // whatever rows are beside it
        }
      }
    }
  });
}

TEST_CASE("cuda: a stored matrix of other rows, or at another alignment, is not taken") {
  Desk d;
  const Matrices w(5 * 64);
  const KairoMat x = d.put({2, 64, 64}, values(2 * 64, 3)), y = d.room({2, 5, 5});
  const auto code = [&](KairoFrozen of) { return plugin().frozen(y, x, of, nullptr); };
  KairoFrozen moved = w.placed_in(d, kairo_bf16, 5, 64);
  CHECK(code(moved) == 0);
  moved.data = static_cast<const std::uint16_t*>(moved.data) + 1;
  CHECK(code(moved) == kairo_cuda_unfit);
  CHECK(code(w.placed_in(d, kairo_f32, 5, 60)) == kairo_cuda_unfit);
  KairoFrozen other = w.placed_in(d, kairo_f32, 5, 64);
  other.kind = 9;
  CHECK(code(other) == kairo_cuda_unfit);
}
}  // namespace kairo::gpu::test
