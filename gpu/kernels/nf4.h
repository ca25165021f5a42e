// gpu/kernels/nf4.h - 4-bit NormalFloat weights with doubly quantised block scales (QLoRA).
// Bytes and values equal those of bitsandbytes 0.50 on a CPU (tests/parity/make_golden.py makes the
// proof).
#pragma once
#include <array>
#include <cstdint>

namespace kairo::gpu {
constexpr std::int64_t nf4_block = 64;   // weights that share one scale (absmax)
constexpr std::int64_t nf4_group = 256;  // scales that share one second-level scale
constexpr std::int64_t nf4_bytes(std::int64_t n) {
  return (n + 1) / 2;
}
constexpr std::int64_t nf4_blocks(std::int64_t n) {
  return (n + nf4_block - 1) / nf4_block;
}
constexpr std::int64_t nf4_groups(std::int64_t n) {
  return (nf4_blocks(n) + nf4_group - 1) / nf4_group;
}
// The 16 levels, ascending, and the signed dynamic map of the 8-bit scales (256 values, ascending).
extern const std::array<float, 16> nf4_levels;
std::array<float, 256> dynamic_map();

// One weight tensor in 4 bits. Views; the owner keeps the memory. n = all weights, row-major.
struct Nf4View {
  const std::uint8_t* packed;  // nf4_bytes(n): first weight of a pair in the high nibble
  const std::uint8_t* scales;  // nf4_blocks(n): index into dynamic_map()
  const float* group_scales;   // nf4_groups(n)
  float offset;                // mean of the unquantised scales
};
// packed: nf4_bytes(n), absmax: nf4_blocks(n). An all-zero block gets level 7 (zero) and absmax 0.
void nf4_quantize_cpu(std::uint8_t* packed, float* absmax, const float* w, std::int64_t n);
// scales: blocks, group_scales: ceil(blocks / 256); quantises absmax - offset.
void nf4_quantize_scales_cpu(std::uint8_t* scales, float* group_scales, const float* absmax,
                             float offset, std::int64_t blocks);
// out[r * ld + c] = weight (r, c), (rows, cols) row-major with ld >= cols. Bound: bytes written.
void nf4_dequantize_cpu(float* out, std::int64_t ld, const Nf4View& w, std::int64_t rows,
                        std::int64_t cols);
// Weights [first, first + count), single-threaded: the same values.
void nf4_dequantize_run_cpu(float* out, const Nf4View& w, std::int64_t first, std::int64_t count);
// The same values rounded to bf16 (bf16.h).
void nf4_dequantize_bf16_cpu(std::uint16_t* out, std::int64_t ld, const Nf4View& w,
                             std::int64_t rows, std::int64_t cols);
}  // namespace kairo::gpu
