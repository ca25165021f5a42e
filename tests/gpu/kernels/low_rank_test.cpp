// tests/gpu/kernels/low_rank_test.cpp - what adapters add equals its formula in double precision.
#include "gpu/kernels/low_rank.h"

#include <doctest/doctest.h>

#include <vector>

#include "tests/gpu/kernels/reference.h"

namespace kairo::gpu {
namespace {
using test::at;
using test::error_of;
using test::values;
}  // namespace

TEST_CASE("low-rank sums: every width around the tiles, and a row's bits alone and beside others") {
  constexpr std::int64_t rank = 5, T = 5;
  for (const std::int64_t cols : {1, 31, 32, 33, 127, 128, 200, 300}) {
    CAPTURE(cols);
    const std::int64_t ld_y = cols + 60, ld_low = 2 * rank + 1, total = cols + 40;
    const std::vector<LowRankPart> parts = {{3, cols}, {cols + 10, 40}};
    const auto low = values(T * ld_low, 1);
    const auto b = values(rank * total, 2);
    const auto before = values(T * ld_y, 3);
    auto together = before, alone = before;
    add_low_rank_cpu(together.data(), low.data(), b.data(), {T, rank, ld_low, ld_y, parts});
    for (std::int64_t t = 0; t < T; ++t)
      add_low_rank_cpu(alone.data() + t * ld_y, low.data() + t * ld_low, b.data(),
                       {1, rank, ld_low, ld_y, parts});
    CHECK(together == alone);
    std::vector<double> want;
    for (std::int64_t t = 0; t < T; ++t)
      for (std::int64_t c = 0; c < ld_y; ++c) {
        double sum = at(before, t * ld_y + c);
        std::int64_t in_b = 0, low_column = t * ld_low;
        for (const LowRankPart& p : parts) {
          for (std::int64_t r = 0; c >= p.first && c < p.first + p.cols && r < rank; ++r)
            sum += at(low, low_column + r) * at(b, r * total + in_b + c - p.first);
          in_b += p.cols;
          low_column += rank;
        }
        want.push_back(sum);
      }
    CHECK(error_of(together, want) < 2e-6);
  }
}
}  // namespace kairo::gpu
