// gpu/kernels/frozen_tiles_avx512.cpp - a register is two rows' step.
#include <immintrin.h>

#include "gpu/kernels/frozen_loops.h"

namespace kairo::gpu {
namespace {
struct Avx512 {
  using Reg = __m512;
  static constexpr int rows = 2, columns = 8, lanes = 16, mix_rows = 6, mix_registers = 4;
  static Reg zero() { return _mm512_setzero_ps(); }
  static Reg load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Reg a) { _mm512_storeu_ps(p, a); }
  static Reg broadcast(float x) { return _mm512_set1_ps(x); }
  static Reg step(const float* p) { return _mm512_broadcast_f32x8(_mm256_loadu_ps(p)); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm512_fmadd_ps(a, b, c); }
  static Reg mul(Reg a, Reg b) { return _mm512_mul_ps(a, b); }
  static Reg floats_of(Bytes x) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(x)); }
  static void put(float* to, Bytes x, float scale) {
    store(to, _mm512_mul_ps(floats_of(x), broadcast(scale)));
  }
  static void put(float* to, Bytes x, float scale, float minimum) {
    store(to, _mm512_add_ps(_mm512_mul_ps(floats_of(x), broadcast(scale)), broadcast(minimum)));
  }
  // The sixteen values that a block's codes stand for are computed once and looked up.
  static void look_up(float* to, Bytes x, Reg levels) {
    const __m512i codes = _mm512_cvtepu8_epi32(x);  // of which the four lowest bits count
    store(to, _mm512_permutexvar_ps(codes, levels));
    store(to + 16, _mm512_permutexvar_ps(_mm512_srli_epi32(codes, 4), levels));
  }
  static Reg counted(float first) {
    return _mm512_add_ps(_mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                         broadcast(first));
  }
  static void nibbles(float* to, Bytes x, float scale, float minimum) {
    look_up(to, x, _mm512_add_ps(_mm512_mul_ps(counted(0), broadcast(scale)), broadcast(minimum)));
  }
  static void nibbles(float* to, Bytes x, float scale) {
    look_up(to, x, _mm512_mul_ps(counted(-8), broadcast(scale)));
  }
  static void put_levels(float* to, Bytes codes, const float* levels, float scale) {
    const Reg values = _mm512_permutexvar_ps(_mm512_cvtepu8_epi32(codes), load(levels));
    store(to, _mm512_mul_ps(values, broadcast(scale)));
  }
  static void sums_of_four(const Reg* sums, float* y) {
    const Reg a = _mm512_unpacklo_ps(sums[0], sums[1]), b = _mm512_unpackhi_ps(sums[0], sums[1]);
    const Reg c = _mm512_unpacklo_ps(sums[2], sums[3]), d = _mm512_unpackhi_ps(sums[2], sums[3]);
    // Lane j of all four in the first and the third quarter, lane j + 4 in the others.
    const Reg lanes[4] = {_mm512_shuffle_ps(a, c, 0x44), _mm512_shuffle_ps(a, c, 0xee),
                          _mm512_shuffle_ps(b, d, 0x44), _mm512_shuffle_ps(b, d, 0xee)};
    Reg sum = zero();
    for (const Reg& lane : lanes) sum = _mm512_add_ps(sum, lane);
    for (const Reg& lane : lanes)
      sum = _mm512_add_ps(sum, _mm512_shuffle_f32x4(lane, lane, 0xf5));  // quarters 1 1 3 3
    _mm_storeu_ps(y, _mm512_castps512_ps128(sum));
    _mm_storeu_ps(y + tile_columns, _mm512_extractf32x4_ps(sum, 2));
  }
};
}  // namespace
const FrozenTiles tiles_avx512 = tiles_of<Avx512>();
}  // namespace kairo::gpu
