// tests/gpu/cuda/weights_test.cpp - NF4 on the device: the bytes of the CPU's kernel.
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
}  // namespace kairo::gpu::test
