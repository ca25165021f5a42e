// gpu/kernels/frozen_decode.h - quantised values to fp32 over an instruction set V, with the bits
// of dequantise_blocks (gpu/formats/stored.h) and of nf4_dequantize_cpu: every rounding is the
// format's, so nothing is contracted here. Included as frozen_loops.h is, with its rule.
#pragma once
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "gpu/formats/stored.h"
#include "gpu/kernels/frozen_tiles.h"

namespace kairo::gpu {
namespace {
// V: put(to, bytes, scale, minimum): scale * x + minimum of sixteen signed bytes x
//    put(to, bytes, scale): the same without the addition
//    nibbles(to, bytes, scale, minimum), nibbles(to, bytes, scale): scale * q + minimum, and
//    scale * (q - 8), of 32 codes q: the low nibbles of sixteen bytes, then the high ones
//    put_levels(to, codes, levels, scale): levels[code] * scale of sixteen codes
using Bytes = __m128i;
inline Bytes bytes_at(const std::byte* at) {
  return _mm_loadu_si128(reinterpret_cast<const Bytes*>(at));
}
inline float half_at(const std::byte* at) {
  unsigned short bits;
  __builtin_memcpy(&bits, at, sizeof bits);
  return _cvtsh_ss(bits);
}
inline unsigned byte_at(const std::byte* at) {
  return static_cast<unsigned>(*at);
}
inline Bytes same(int byte) {
  return _mm_set1_epi8(static_cast<char>(byte));
}
inline Bytes low_of(Bytes b) {
  return _mm_and_si128(b, same(15));
}
inline Bytes high_of(Bytes b) {
  return low_of(_mm_srli_epi16(b, 4));
}
inline Bytes minus(Bytes b, int byte) {
  return _mm_sub_epi8(b, same(byte));
}
// 16 where bit j of sixteen is set.
inline Bytes fifth_of(unsigned bits) {
  const Bytes spread = _mm_shuffle_epi8(_mm_cvtsi32_si128(static_cast<int>(bits)),
                                        _mm_set_epi64x(0x0101010101010101, 0));
  const Bytes each = _mm_set1_epi64x(static_cast<long long>(0x8040201008040201));
  return _mm_and_si128(_mm_cmpeq_epi8(_mm_and_si128(spread, each), each), same(16));
}
inline unsigned word_at(const std::byte* at) {
  unsigned bits;
  __builtin_memcpy(&bits, at, sizeof bits);
  return bits;
}

// The kinds that most files are of: `halves_each` f16 numbers, then the values' bytes. The numbers
// of many blocks are widened together. one(to, bytes, numbers): the 32 values of a block.
template <Stored kind, int halves_each, class One>
void simple_blocks(float* to, const std::byte* from, std::int64_t values, const One& one) {
  constexpr std::int64_t bytes = bytes_per_block(kind), at_once = 32;
  alignas(64) unsigned short numbers[at_once * halves_each];
  alignas(64) float wide[at_once * halves_each];
  for (std::int64_t left = values / 32; left > 0; left -= at_once) {
    const std::int64_t count = left < at_once ? left : at_once;
    for (std::int64_t b = 0; b < count; ++b) {
      __builtin_memcpy(numbers + b * halves_each, from + b * bytes, 2 * halves_each);
      // Pairs are stored one by one: the compiler's merging of them costs more.
      if constexpr (halves_each == 2) __asm__ volatile("" : : "r"(numbers) : "memory");
    }
    for (std::int64_t i = 0; i < count * halves_each; i += 8)
      _mm256_store_ps(wide + i,
                      _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<Bytes*>(numbers + i))));
    for (std::int64_t b = 0; b < count; ++b, to += 32, from += bytes)
      one(to, from + 2 * halves_each, wide + b * halves_each);
  }
}
template <class V>
void q8_0(float* to, const std::byte* from, std::int64_t values) {
  simple_blocks<Stored::q8_0, 1>(to, from, values,
                                 [](float* out, const std::byte* at, const float* d) {
                                   V::put(out, bytes_at(at), *d);
                                   V::put(out + 16, bytes_at(at + 16), *d);
                                 });
}
template <class V>
void q4_0(float* to, const std::byte* from, std::int64_t values) {
  simple_blocks<Stored::q4_0, 1>(
      to, from, values,
      [](float* out, const std::byte* at, const float* d) { V::nibbles(out, bytes_at(at), *d); });
}
template <class V>
void q4_1(float* to, const std::byte* from, std::int64_t values) {
  simple_blocks<Stored::q4_1, 2>(to, from, values,
                                 [](float* out, const std::byte* at, const float* numbers) {
                                   V::nibbles(out, bytes_at(at), numbers[0], numbers[1]);
                                 });
}
template <class V>
void q5_0(float* to, const std::byte* at) {
  const float d = half_at(at);
  const unsigned fifth = word_at(at + 2);
  const Bytes q = bytes_at(at + 6);
  V::put(to, minus(_mm_or_si128(low_of(q), fifth_of(fifth)), 16), d);
  V::put(to + 16, minus(_mm_or_si128(high_of(q), fifth_of(fifth >> 16)), 16), d);
}
template <class V>
void q5_1(float* to, const std::byte* at) {
  const float d = half_at(at), m = half_at(at + 2);
  const unsigned fifth = word_at(at + 4);
  const Bytes q = bytes_at(at + 8);
  V::put(to, _mm_or_si128(low_of(q), fifth_of(fifth)), d, m);
  V::put(to + 16, _mm_or_si128(high_of(q), fifth_of(fifth >> 16)), d, m);
}
// fifth: null, or 32 bytes whose j-th bits are the highest of the j-th 32 values.
template <class V>
void q4_5_k(float* to, const std::byte* at, const std::byte* fifth, const std::byte* nibbles) {
  const float d = half_at(at), m = half_at(at + 2);
  const std::byte* pairs = at + 4;  // twelve bytes: eight scales and minima of six bits
  for (int j = 0; j < 8; ++j, to += 32) {
    unsigned scale = byte_at(pairs + j) & 63, minimum = byte_at(pairs + j + 4) & 63;
    if (j >= 4) {
      scale = (byte_at(pairs + j + 4) & 15) | (byte_at(pairs + j - 4) >> 6) << 4;
      minimum = byte_at(pairs + j + 4) >> 4 | (byte_at(pairs + j) >> 6) << 4;
    }
    const float by = d * static_cast<float>(scale), less = m * static_cast<float>(minimum);
    for (int half = 0; half < 2; ++half) {
      const Bytes both = bytes_at(nibbles + j / 2 * 32 + half * 16);
      Bytes q = j % 2 == 0 ? low_of(both) : high_of(both);
      if (fifth != nullptr) {
        const Bytes bit = same(1 << j);
        const Bytes is_set = _mm_cmpeq_epi8(_mm_and_si128(bytes_at(fifth + half * 16), bit), bit);
        q = _mm_or_si128(q, _mm_and_si128(is_set, same(16)));
      }
      V::put(to + half * 16, q, by, -less);
    }
  }
}
template <class V>
void q4_k(float* to, const std::byte* at) {
  q4_5_k<V>(to, at, nullptr, at + 16);
}
template <class V>
void q5_k(float* to, const std::byte* at) {
  q4_5_k<V>(to, at, at + 16, at + 48);
}
template <class V>
void q6_k(float* to, const std::byte* at) {
  const float d = half_at(at + 208);
  for (int i = 0; i < 16; ++i) {  // sixteen values with a scale each
    const int half = i / 8, part = i % 8 / 2, l = i % 2 * 16;
    const Bytes both = bytes_at(at + half * 64 + part % 2 * 32 + l);
    const Bytes two = _mm_srli_epi16(bytes_at(at + 128 + half * 32 + l), 2 * part);
    const Bytes q = _mm_or_si128(part < 2 ? low_of(both) : high_of(both),
                                 _mm_slli_epi16(_mm_and_si128(two, same(3)), 4));
    const auto scale = static_cast<float>(static_cast<signed char>(at[192 + i]));
    V::put(to + i * 16, minus(q, 32), d * scale);
  }
}
inline void halves(float* to, const std::byte* from, std::int64_t values) {
  std::int64_t i = 0;
  for (; i + 8 <= values; i += 8) _mm256_storeu_ps(to + i, _mm256_cvtph_ps(bytes_at(from + 2 * i)));
  for (; i < values; ++i) to[i] = half_at(from + 2 * i);
}
inline void upper_halves(float* to, const std::byte* from, std::int64_t values) {
  for (std::int64_t i = 0; i < values; ++i) {
    unsigned short bits;
    __builtin_memcpy(&bits, from + 2 * i, sizeof bits);
    const unsigned wide = static_cast<unsigned>(bits) << 16;
    __builtin_memcpy(to + i, &wide, sizeof wide);
  }
}
template <Stored kind>
void blocks(float* to, const std::byte* from, std::int64_t values,
            void (*block)(float*, const std::byte*)) {
  constexpr std::int64_t of_block = values_per_block(kind), bytes = bytes_per_block(kind);
  for (std::int64_t i = 0; i < values / of_block; ++i) block(to + i * of_block, from + i * bytes);
}
template <class V>
void decode(Stored kind, float* to, const std::byte* from, std::int64_t values) {
  switch (kind) {
    case Stored::f32:
      __builtin_memcpy(to, from, static_cast<std::size_t>(values) * sizeof(float));
      return;
    case Stored::bf16:
      return upper_halves(to, from, values);
    case Stored::f16:
      return halves(to, from, values);
    case Stored::q8_0:
      return q8_0<V>(to, from, values);
    case Stored::q4_0:
      return q4_0<V>(to, from, values);
    case Stored::q4_1:
      return q4_1<V>(to, from, values);
    case Stored::q5_0:
      return blocks<Stored::q5_0>(to, from, values, q5_0<V>);
    case Stored::q5_1:
      return blocks<Stored::q5_1>(to, from, values, q5_1<V>);
    case Stored::q4_k:
      return blocks<Stored::q4_k>(to, from, values, q4_k<V>);
    case Stored::q5_k:
      return blocks<Stored::q5_k>(to, from, values, q5_k<V>);
    case Stored::q6_k:
      return blocks<Stored::q6_k>(to, from, values, q6_k<V>);
  }
}
template <class V>
void nf4_block(float* to, const std::uint8_t* packed, const float* levels, float scale) {
  for (int i = 0; i < 4; ++i) {  // sixteen values in eight bytes, the first of a pair above
    const Bytes both = _mm_loadl_epi64(reinterpret_cast<const Bytes*>(packed + 8 * i));
    V::put_levels(to + 16 * i, _mm_unpacklo_epi8(high_of(both), low_of(both)), levels, scale);
  }
}
}  // namespace
}  // namespace kairo::gpu
