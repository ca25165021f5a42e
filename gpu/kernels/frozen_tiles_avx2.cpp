// gpu/kernels/frozen_tiles_avx2.cpp - a register is one row's step.
#include <immintrin.h>

#include "gpu/kernels/frozen_loops.h"

namespace kairo::gpu {
namespace {
struct Avx2 {
  using Reg = __m256;
  static constexpr int rows = 1, columns = 4, lanes = 8, mix_rows = 3, mix_registers = 4;
  static Reg zero() { return _mm256_setzero_ps(); }
  static Reg load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Reg a) { _mm256_storeu_ps(p, a); }
  static Reg broadcast(float x) { return _mm256_set1_ps(x); }
  static Reg step(const float* p) { return load(p); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm256_fmadd_ps(a, b, c); }
  static Reg mul(Reg a, Reg b) { return _mm256_mul_ps(a, b); }
  static Reg floats_of(Bytes x) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(x)); }
  static void put(float* to, Bytes x, float scale) {
    store(to, _mm256_mul_ps(floats_of(x), broadcast(scale)));
    store(to + 8, _mm256_mul_ps(floats_of(_mm_srli_si128(x, 8)), broadcast(scale)));
  }
  static void put(float* to, Bytes x, float scale, float minimum) {
    const Reg by = broadcast(scale), more = broadcast(minimum);
    store(to, _mm256_add_ps(_mm256_mul_ps(floats_of(x), by), more));
    store(to + 8, _mm256_add_ps(_mm256_mul_ps(floats_of(_mm_srli_si128(x, 8)), by), more));
  }
  static void nibbles(float* to, Bytes x, float scale, float minimum) {
    put(to, low_of(x), scale, minimum);
    put(to + 16, high_of(x), scale, minimum);
  }
  static void nibbles(float* to, Bytes x, float scale) {
    put(to, minus(low_of(x), 8), scale);
    put(to + 16, minus(high_of(x), 8), scale);
  }
  static void put_levels(float* to, Bytes codes, const float* levels, float scale) {
    for (int half = 0; half < 2; ++half, codes = _mm_srli_si128(codes, 8)) {
      const __m256i code = _mm256_cvtepu8_epi32(codes);
      const Reg low = _mm256_permutevar8x32_ps(load(levels), code);
      const Reg high = _mm256_permutevar8x32_ps(load(levels + 8), code);
      const Reg is_high = _mm256_castsi256_ps(_mm256_slli_epi32(code, 28));  // bit 3 as the sign
      store(to + 8 * half, _mm256_mul_ps(_mm256_blendv_ps(low, high, is_high), broadcast(scale)));
    }
  }
  static void sums_of_four(const Reg* sums, float* y) {
    const Reg a = _mm256_unpacklo_ps(sums[0], sums[1]), b = _mm256_unpackhi_ps(sums[0], sums[1]);
    const Reg c = _mm256_unpacklo_ps(sums[2], sums[3]), d = _mm256_unpackhi_ps(sums[2], sums[3]);
    // Lane j of all four, and lane j + 4 in the upper half.
    const Reg lanes[4] = {_mm256_shuffle_ps(a, c, 0x44), _mm256_shuffle_ps(a, c, 0xee),
                          _mm256_shuffle_ps(b, d, 0x44), _mm256_shuffle_ps(b, d, 0xee)};
    __m128 sum = _mm_setzero_ps();
    for (const Reg& lane : lanes) sum = _mm_add_ps(sum, _mm256_castps256_ps128(lane));
    for (const Reg& lane : lanes) sum = _mm_add_ps(sum, _mm256_extractf128_ps(lane, 1));
    _mm_storeu_ps(y, sum);
  }
};
}  // namespace
const FrozenTiles tiles_avx2 = tiles_of<Avx2>();
}  // namespace kairo::gpu
