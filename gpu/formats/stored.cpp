// gpu/formats/stored.cpp - one function a kind: a block's bytes to its values.
#include "gpu/formats/stored.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "schemas/base/assert.h"

namespace kairo::gpu {
namespace {
constexpr std::size_t block = 32, super_block = 256;  // values

template <class T>
T load(const std::byte* at) {
  T out;
  std::memcpy(&out, at, sizeof out);
  return out;
}
float half_to_float(std::uint16_t h) {
  const std::uint32_t sign = static_cast<std::uint32_t>(h & 0x8000u) << 16;
  const std::uint32_t rest = h & 0x7fffu;
  if (rest >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
  // 2^112 moves the exponent, and makes subnormals of f16 normal.
  const float value = std::bit_cast<float>(rest << 13) * 0x1p112f;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) | sign);
}
float half_at(const std::byte* at) {
  return half_to_float(load<std::uint16_t>(at));
}
int byte_at(const std::byte* at) {
  return std::to_integer<int>(*at);
}
int low(const std::byte* at) {
  return byte_at(at) & 15;
}
int high(const std::byte* at) {
  return byte_at(at) >> 4;
}

void from_f32(const std::byte* at, float* out) {
  *out = load<float>(at);
}
void from_f16(const std::byte* at, float* out) {
  *out = half_at(at);
}
void from_bf16(const std::byte* at, float* out) {
  *out = std::bit_cast<float>(static_cast<std::uint32_t>(load<std::uint16_t>(at)) << 16);
}
void from_q8_0(const std::byte* at, float* out) {  // f16 scale, 32 signed bytes
  const float scale = half_at(at);
  for (std::size_t j = 0; j < block; ++j)
    out[j] = static_cast<float>(std::to_integer<std::int8_t>(at[2 + j])) * scale;
}

// 16 bytes: the low nibbles are values 0 to 15, the high ones 16 to 31. fifth: a bit for each, the
// value's highest; null: there is none.
template <class Value>
void from_nibbles(const std::byte* nibbles, const std::byte* fifth, float* out, Value value) {
  const std::uint32_t bits = fifth == nullptr ? 0 : load<std::uint32_t>(fifth);
  for (std::size_t j = 0; j < block / 2; ++j) {
    out[j] = value(low(nibbles + j) | static_cast<int>((bits >> j) & 1) << 4);
    const std::size_t k = j + block / 2;
    out[k] = value(high(nibbles + j) | static_cast<int>((bits >> k) & 1) << 4);
  }
}
void from_q4_0(const std::byte* at, float* out) {  // f16 scale, nibbles around 8
  from_nibbles(at + 2, nullptr, out,
               [d = half_at(at)](int q) { return static_cast<float>(q - 8) * d; });
}
void from_q4_1(const std::byte* at, float* out) {  // f16 scale, f16 minimum, nibbles
  from_nibbles(at + 4, nullptr, out, [d = half_at(at), m = half_at(at + 2)](int q) {
    return static_cast<float>(q) * d + m;
  });
}
void from_q5_0(const std::byte* at, float* out) {  // f16 scale, fifth bits, nibbles; around 16
  from_nibbles(at + 6, at + 2, out,
               [d = half_at(at)](int q) { return static_cast<float>(q - 16) * d; });
}
void from_q5_1(const std::byte* at, float* out) {  // f16 scale, f16 minimum, fifth bits, nibbles
  from_nibbles(at + 8, at + 4, out, [d = half_at(at), m = half_at(at + 2)](int q) {
    return static_cast<float>(q) * d + m;
  });
}

// The j-th of eight pairs of six bits (scale, minimum) that lie in twelve bytes: four whole ones
// each, then the others' low four bits, whose high two bits are the top ones of the first eight.
struct Pair {
  float scale, minimum;
};
Pair pair_at(const std::byte* twelve, std::size_t j) {
  const auto at = [&](std::size_t i) { return byte_at(twelve + i); };
  if (j < 4) return {static_cast<float>(at(j) & 63), static_cast<float>(at(j + 4) & 63)};
  return {static_cast<float>((at(j + 4) & 15) | (at(j - 4) >> 6) << 4),
          static_cast<float>((at(j + 4) >> 4) | (at(j) >> 6) << 4)};
}
// 128 bytes: of each 32 the low nibbles are 32 values, the high ones the next 32; each 32 have a
// pair. fifth: 32 bytes, whose j-th bits are the highest of the j-th 32 values; null: none.
void from_pairs(const std::byte* at, const std::byte* fifth, const std::byte* nibbles, float* out) {
  const float d = half_at(at), m = half_at(at + 2);
  for (std::size_t j = 0; j < super_block / block; ++j) {
    const Pair pair = pair_at(at + 4, j);
    const float scale = d * pair.scale, minimum = m * pair.minimum;
    const std::byte* from = nibbles + j / 2 * block;
    for (std::size_t l = 0; l < block; ++l) {
      int q = j % 2 == 0 ? low(from + l) : high(from + l);
      if (fifth != nullptr) q |= (byte_at(fifth + l) >> j & 1) << 4;
      out[j * block + l] = scale * static_cast<float>(q) - minimum;
    }
  }
}
void from_q4_k(const std::byte* at, float* out) {  // f16 scale, f16 minimum, pairs, nibbles
  from_pairs(at, nullptr, at + 16, out);
}
void from_q5_k(const std::byte* at, float* out) {  // the same with fifth bits before the nibbles
  from_pairs(at, at + 16, at + 48, out);
}
// 128 bytes of low nibbles, 64 of two high bits each, 16 signed scales of 16 values, f16 scale.
void from_q6_k(const std::byte* at, float* out) {
  const std::byte *nibbles = at, *bits = at + 128, *scales = at + 192;
  const float d = half_at(at + 208);
  for (std::size_t i = 0; i < super_block; ++i) {
    const std::size_t half = i / 128, part = i % 128 / 32, l = i % 32;
    const std::byte* from = nibbles + half * 64 + part % 2 * 32 + l;
    const int two = byte_at(bits + half * 32 + l) >> (2 * part) & 3;
    const int q = ((part < 2 ? low(from) : high(from)) | two << 4) - 32;
    const auto scale = static_cast<float>(std::to_integer<std::int8_t>(scales[i / 16]));
    out[i] = d * scale * static_cast<float>(q);
  }
}

// The calls are known when this is compiled: plain numbers become one loop.
template <Stored kind, void (*read)(const std::byte* at, float* out)>
void all(std::span<const std::byte> blocks, std::span<float> out) {
  constexpr auto values = static_cast<std::size_t>(values_per_block(kind));
  constexpr auto bytes = static_cast<std::size_t>(bytes_per_block(kind));
  KAIRO_ASSERT(out.size() % values == 0 && out.size() / values * bytes == blocks.size(),
               "whole blocks");
  for (std::size_t i = 0; i < out.size() / values; ++i)
    read(blocks.data() + i * bytes, out.data() + i * values);
}
}  // namespace

std::string names_of(StoredValues values) {
  std::string out;
  for (;;) {
    const auto most = std::max_element(values.begin(), values.end());
    if (*most == 0) return out;
    const auto kind = static_cast<Stored>(most - values.begin());
    out += (out.empty() ? "" : ", ") + std::string(name_of(kind));
    *most = 0;
  }
}

std::optional<Stored> stored_named(std::string_view name) {
  for (std::size_t i = 0; i < stored_layouts.size(); ++i)
    if (stored_layouts[i].name == name) return static_cast<Stored>(i);
  return std::nullopt;
}

void dequantise_blocks(Stored kind, std::span<const std::byte> blocks, std::span<float> out) {
  switch (kind) {
    case Stored::f32:
      return all<Stored::f32, from_f32>(blocks, out);
    case Stored::bf16:
      return all<Stored::bf16, from_bf16>(blocks, out);
    case Stored::f16:
      return all<Stored::f16, from_f16>(blocks, out);
    case Stored::q8_0:
      return all<Stored::q8_0, from_q8_0>(blocks, out);
    case Stored::q4_0:
      return all<Stored::q4_0, from_q4_0>(blocks, out);
    case Stored::q4_1:
      return all<Stored::q4_1, from_q4_1>(blocks, out);
    case Stored::q5_0:
      return all<Stored::q5_0, from_q5_0>(blocks, out);
    case Stored::q5_1:
      return all<Stored::q5_1, from_q5_1>(blocks, out);
    case Stored::q4_k:
      return all<Stored::q4_k, from_q4_k>(blocks, out);
    case Stored::q5_k:
      return all<Stored::q5_k, from_q5_k>(blocks, out);
    case Stored::q6_k:
      return all<Stored::q6_k, from_q6_k>(blocks, out);
  }
}
}  // namespace kairo::gpu
