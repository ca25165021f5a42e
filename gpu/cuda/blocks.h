// gpu/cuda/blocks.h - values of GGUF's quantised blocks: the bits of gpu/formats/stored.cpp.
#pragma once
#include <cuda_fp16.h>

#include "gpu/cuda/device.h"

namespace kairo::cuda {
// Of a kind: values of a block, its bytes.
struct BlockLayout {
  int values, bytes;
};
constexpr BlockLayout block_layout(std::int32_t kind) {
  switch (kind) {
    case kairo_q8_0:
      return {32, 34};
    case kairo_q4_0:
      return {32, 18};
    case kairo_q4_1:
      return {32, 20};
    case kairo_q5_0:
      return {32, 22};
    case kairo_q5_1:
      return {32, 24};
    case kairo_q4_k:
      return {256, 144};
    case kairo_q5_k:
      return {256, 176};
    default:
      return {256, 210};
  }
}
template <std::int32_t of>
struct BlockKind {
  static constexpr std::int32_t kind = of;
  static constexpr int values = block_layout(of).values, bytes = block_layout(of).bytes;
};
// Calls f with the kind; kairo_cuda_unfit where it is none of blocks.
template <class F>
std::int32_t with_block_kind(std::int32_t kind, F f) {
  switch (kind) {
    case kairo_q8_0:
      return f(BlockKind<kairo_q8_0>{});
    case kairo_q4_0:
      return f(BlockKind<kairo_q4_0>{});
    case kairo_q4_1:
      return f(BlockKind<kairo_q4_1>{});
    case kairo_q5_0:
      return f(BlockKind<kairo_q5_0>{});
    case kairo_q5_1:
      return f(BlockKind<kairo_q5_1>{});
    case kairo_q4_k:
      return f(BlockKind<kairo_q4_k>{});
    case kairo_q5_k:
      return f(BlockKind<kairo_q5_k>{});
    case kairo_q6_k:
      return f(BlockKind<kairo_q6_k>{});
    default:
      return kairo_cuda_unfit;
  }
}

// Blocks lie at even addresses, so that is how wide a load may be.
__device__ __forceinline__ unsigned two_bytes_at(const std::uint8_t* at) {
  return *reinterpret_cast<const unsigned short*>(at);
}
__device__ __forceinline__ float half_at(const std::uint8_t* at) {
  return __half2float(__ushort_as_half(static_cast<unsigned short>(two_bytes_at(at))));
}
// In two words, so that few registers hold them.
struct EightBytes {
  unsigned words[2];
  __device__ __forceinline__ int byte(int i) const {
    return static_cast<int>(words[i / 4] >> 8 * (i % 4) & 255u);
  }
  // The lower half of a byte, or the upper one.
  __device__ __forceinline__ int nibble(int i, bool is_upper) const {
    return static_cast<int>(words[i / 4] >> (8 * (i % 4) + (is_upper ? 4 : 0)) & 15u);
  }
};
__device__ __forceinline__ EightBytes eight_bytes_at(const std::uint8_t* at) {
  return {{two_bytes_at(at) | two_bytes_at(at + 2) << 16,
           two_bytes_at(at + 4) | two_bytes_at(at + 6) << 16}};
}
__device__ __forceinline__ int signed_byte(int byte) {
  return byte < 128 ? byte : byte - 256;
}
// The j-th of eight pairs of six bits (scale, minimum) in twelve bytes.
__device__ __forceinline__ void pair_at(const std::uint8_t* pairs, int j, int& scale,
                                        int& minimum) {
  if (j < 4) {
    scale = pairs[j] & 63;
    minimum = pairs[j + 4] & 63;
    return;
  }
  scale = (pairs[j + 4] & 15) | (pairs[j - 4] >> 6) << 4;
  minimum = pairs[j + 4] >> 4 | (pairs[j] >> 6) << 4;
}
// Values [j, j + 8) of the block at `at`, j in whole eights: they lie in as many bytes, and have
// one scale. Each rounding is the format's: never a fused multiply-add.
template <class Kind>
__device__ __forceinline__ void eight_of_block(const std::uint8_t* at, int j, float (&out)[8]) {
  constexpr std::int32_t kind = Kind::kind;
  if constexpr (kind == kairo_q8_0) {
    const EightBytes q = eight_bytes_at(at + 2 + j);
    const float scale = half_at(at);
#pragma unroll
    for (int i = 0; i < 8; ++i)
      out[i] = __fmul_rn(static_cast<float>(signed_byte(q.byte(i))), scale);
  } else if constexpr (Kind::values == 32) {
    constexpr bool has_minimum = kind == kairo_q4_1 || kind == kairo_q5_1;
    constexpr bool has_fifth = kind == kairo_q5_0 || kind == kairo_q5_1;
    constexpr int numbers = has_minimum ? 4 : 2, nibbles = numbers + (has_fifth ? 4 : 0);
    const EightBytes q = eight_bytes_at(at + nibbles + j % 16);
    unsigned fifth = 0;
    if (has_fifth) fifth = two_bytes_at(at + numbers) | two_bytes_at(at + numbers + 2) << 16;
    const float scale = half_at(at), minimum = has_minimum ? half_at(at + 2) : 0.0f;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      int code = q.nibble(i, j >= 16);
      code |= static_cast<int>(fifth >> (j + i) & 1u) << 4;
      if (!has_minimum) code -= has_fifth ? 16 : 8;
      const float product = __fmul_rn(static_cast<float>(code), scale);
      out[i] = has_minimum ? __fadd_rn(product, minimum) : product;
    }
  } else if constexpr (kind == kairo_q6_k) {
    const int half = j / 128, part = j % 128 / 32, l = j % 32;
    const EightBytes q = eight_bytes_at(at + half * 64 + part % 2 * 32 + l);
    const EightBytes high = eight_bytes_at(at + 128 + half * 32 + l);
    const float scale =
        __fmul_rn(half_at(at + 208), static_cast<float>(signed_byte(at[192 + j / 16])));
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int code = q.nibble(i, part >= 2) | (high.byte(i) >> 2 * part & 3) << 4;
      out[i] = __fmul_rn(scale, static_cast<float>(code - 32));
    }
  } else {
    constexpr bool has_fifth = kind == kairo_q5_k;
    const int part = j / 32, l = j % 32;
    int factor = 0, less = 0;
    const EightBytes q = eight_bytes_at(at + (has_fifth ? 48 : 16) + part / 2 * 32 + l);
    EightBytes high = {};
    if (has_fifth) high = eight_bytes_at(at + 16 + l);
    pair_at(at + 4, part, factor, less);
    const float scale = __fmul_rn(half_at(at), static_cast<float>(factor));
    const float minimum = __fmul_rn(half_at(at + 2), static_cast<float>(less));
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int code = q.nibble(i, part % 2 != 0) | (high.byte(i) >> part & 1) << 4;
      out[i] = __fadd_rn(__fmul_rn(scale, static_cast<float>(code)), -minimum);
    }
  }
}
// Values [8 i, 8 i + 8) of a matrix whose rows are whole blocks.
template <class Kind>
__device__ __forceinline__ void eight_of_blocks(const std::uint8_t* data, std::int64_t i,
                                                float (&out)[8]) {
  constexpr int eights = Kind::values / 8;
  const std::int64_t block = i / eights;
  eight_of_block<Kind>(data + block * Kind::bytes, static_cast<int>(i - block * eights) * 8, out);
}
}  // namespace kairo::cuda
