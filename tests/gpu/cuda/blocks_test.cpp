// tests/gpu/cuda/blocks_test.cpp - GGUF's blocks on the device: their rows have the bits of a
// reader of the file, and products with them the CPU's values.
#include <string>

#include "gpu/kernels/frozen_matmul.h"
#include "tests/gpu/cuda/desk.h"
#include "tests/gpu/support.h"

namespace kairo::gpu::test {
namespace {
struct Kind {
  Stored stored;
  std::int32_t code;
};
constexpr Kind block_kinds[] = {{Stored::q8_0, kairo_q8_0}, {Stored::q4_0, kairo_q4_0},
                                {Stored::q4_1, kairo_q4_1}, {Stored::q5_0, kairo_q5_0},
                                {Stored::q5_1, kairo_q5_1}, {Stored::q4_k, kairo_q4_k},
                                {Stored::q5_k, kairo_q5_k}, {Stored::q6_k, kairo_q6_k}};
Values read(Stored kind, const std::vector<std::byte>& blocks, std::int64_t count) {
  Values out(static_cast<std::size_t>(count));
  dequantise_blocks(kind, blocks, out);
  return out;
}
}  // namespace

TEST_CASE("cuda: rows of blocks have the bits of a reader of the file") {
  in_each_order([&] {
    for (const Kind& kind : block_kinds)
      for (const std::int32_t type : both) {
        CAPTURE(std::string(name_of(kind.stored)));
        CAPTURE(type);
        constexpr std::int64_t rows = 9, cols = 768;
        Desk d;
        const auto blocks = random_blocks(kind.stored, rows * cols, 17);
        const Indices picked = {8, 0, 3, 3, 7};
        const KairoMat out = d.room({5, cols, cols + 3, type});
        const KairoFrozen from = {d.put(blocks), {}, rows, cols, kind.code};
        REQUIRE(plugin().decode_blocks(out, from, d.put(picked), nullptr) == 0);
        const Values table = read(kind.stored, blocks, rows * cols);
        Values wanted;
        for (const std::int32_t r : picked)
          wanted.insert(wanted.end(), table.begin() + r * cols, table.begin() + (r + 1) * cols);
        CHECK(is_same(d.get(out), rounded_as(wanted, type)));
        CHECK(d.is_around_kept());
      }
  });
}

TEST_CASE("cuda: rows times a matrix in blocks give the CPU's values, whatever rows are beside") {
  struct Product {
    std::int64_t outs, cols, ld_x;
  };
  // One block and less than a warp's values where blocks are short; more than what is staged.
  for (const Kind& kind : block_kinds)
    for (const Product& p : {Product{5, 0, 3}, {33, 1280, 0}}) {
      CAPTURE(std::string(name_of(kind.stored)));
      const std::int64_t cols = p.cols > 0 ? p.cols : values_per_block(kind.stored);
      CAPTURE(cols);
      const auto blocks = random_blocks(kind.stored, p.outs * cols, 19);
      const Frozen host = Frozen::of(kind.stored, blocks.data(), p.outs, cols);
      const Values in = values(11 * cols, 3);
      Values wanted(static_cast<std::size_t>(11 * p.outs)), of_one;
      std::vector<float> scratch(static_cast<std::size_t>(frozen_matmul_scratch(11, cols, 1)));
      frozen_matmul_cpu(wanted.data(), p.outs, in.data(), cols, 11, std::span(&host, 1),
                        scratch.data(), 1);
      for (const std::int64_t T : {11, 4, 2, 1}) {
        Desk d;
        const auto first = static_cast<std::ptrdiff_t>(T * cols);
        const KairoMat x = d.put({T, cols, cols + p.ld_x}, Values(in.begin(), in.begin() + first));
        const KairoMat y = d.room({T, p.outs, p.outs + 2});
        const KairoFrozen w = {d.put(blocks), {}, p.outs, cols, kind.code};
        REQUIRE(plugin().frozen(y, x, w, nullptr) == 0);
        const Values out = d.get(y);
        const auto all = static_cast<std::ptrdiff_t>(T * p.outs);
        CHECK(relative_difference(out, Values(wanted.begin(), wanted.begin() + all)) <= of_sums);
        CHECK(d.is_around_kept());
        const Values row(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(p.outs));
        if (of_one.empty()) of_one = row;
        CHECK(is_same(row, of_one));
      }
    }
}

TEST_CASE("cuda: blocks that are not whole in a row, or lie at an odd address, are not taken") {
  Desk d;
  const auto blocks = random_blocks(Stored::q4_0, 5 * 64, 3);
  const std::byte* placed = d.put(blocks);
  const Indices rows = {0, 1};
  const std::int32_t* picked = d.put(rows);
  const auto code = [&](const std::byte* data, std::int64_t cols, std::int32_t kind) {
    const KairoFrozen w = {data, {}, 5, cols, kind};
    const KairoMat x = d.put({2, cols, cols}, values(2 * cols, 3)), y = d.room({2, 5, 5});
    const std::int32_t product = plugin().frozen(y, x, w, nullptr);
    CHECK(plugin().decode_blocks(d.room({2, cols, cols}), w, picked, nullptr) == product);
    return product;
  };
  CHECK(code(placed, 64, kairo_q4_0) == 0);
  CHECK(code(placed + 1, 64, kairo_q4_0) == kairo_cuda_unfit);
  CHECK(code(placed, 48, kairo_q4_0) == kairo_cuda_unfit);
  CHECK(code(placed, 64, kairo_q4_k) == kairo_cuda_unfit);
  CHECK(code(placed, 64, kairo_q6_k + 1) == kairo_cuda_unfit);
}
}  // namespace kairo::gpu::test
