// gpu/kernels/low_rank_cpu.cpp - register tiles of outer products: b comes from memory once.
#include <algorithm>
#include <cstring>

#include "gpu/kernels/low_rank.h"

namespace kairo::gpu {
namespace {
constexpr std::int64_t lanes = 8, vectors = 4, wide = lanes * vectors;
constexpr std::int64_t strip = 4 * wide;         // columns of one turn of a thread
constexpr std::int64_t worth_threads = 1 << 14;  // products; below, waking them costs more
using Vec = float __attribute__((vector_size(lanes * sizeof(float))));

Vec load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// R rows of y, `wide` columns. Each sum goes from r = 0 up, whatever R is, and then onto y.
template <int R>
void tile(float* y, std::int64_t ld_y, const float* low, std::int64_t ld_low, const float* b,
          std::int64_t ld_b, std::int64_t rank) {
  Vec sums[R][vectors] = {};
  for (std::int64_t r = 0; r < rank; ++r, b += ld_b)
    for (std::int64_t v = 0; v < vectors; ++v) {
      const Vec values = load(b + v * lanes);
      for (int t = 0; t < R; ++t) sums[t][v] += low[t * ld_low + r] * values;
    }
  for (int t = 0; t < R; ++t)
    for (std::int64_t v = 0; v < vectors; ++v) {
      float* to = y + t * ld_y + v * lanes;
      const Vec sum = load(to) + sums[t][v];
      std::memcpy(to, &sum, sizeof sum);
    }
}
void rest(float* y, const float* low, const float* b, std::int64_t ld_b, std::int64_t rank,
          std::int64_t columns) {
  for (std::int64_t c = 0; c < columns; ++c) {
    float sum = 0;
    for (std::int64_t r = 0; r < rank; ++r) sum += low[r] * b[r * ld_b + c];
    y[c] += sum;
  }
}
}  // namespace

void add_low_rank_cpu(float* y, const float* low, const float* b, const LowRankShape& s) {
  std::int64_t ld_b = 0, strips = 0;
  for (const LowRankPart& part : s.parts) {
    ld_b += part.cols;
    strips += (part.cols + strip - 1) / strip;
  }
  const bool is_large = s.T * s.rank * ld_b >= worth_threads;
#pragma omp parallel for schedule(static) if (is_large)
  for (std::int64_t turn = 0; turn < strips; ++turn) {
    std::int64_t index = 0, of = turn, at = 0;  // the part, its strip, its first column in b
    for (;; ++index) {
      const std::int64_t cols = s.parts[static_cast<std::size_t>(index)].cols;
      const std::int64_t own = (cols + strip - 1) / strip;
      if (of < own) break;
      of -= own;
      at += cols;
    }
    const LowRankPart& part = s.parts[static_cast<std::size_t>(index)];
    const std::int64_t end = std::min(part.cols, (of + 1) * strip);
    for (std::int64_t c = of * strip; c < end; c += wide) {
      const float* from = b + at + c;
      for (std::int64_t t = 0; t < s.T;) {
        float* to = y + t * s.ld_y + part.first + c;
        const float* rows = low + t * s.ld_low + index * s.rank;
        const bool is_pair = t + 2 <= s.T && c + wide <= end;
        if (is_pair)
          tile<2>(to, s.ld_y, rows, s.ld_low, from, ld_b, s.rank);
        else if (c + wide <= end)
          tile<1>(to, s.ld_y, rows, s.ld_low, from, ld_b, s.rank);
        else
          rest(to, rows, from, ld_b, s.rank, end - c);
        t += is_pair ? 2 : 1;
      }
    }
  }
}
}  // namespace kairo::gpu
