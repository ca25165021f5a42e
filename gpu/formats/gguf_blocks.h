// gpu/formats/gguf_blocks.h - the number formats of GGUF tensors. Source: ggml's block_* structs.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace kairo::gpu {
// The values are the file's.
enum class GgufType : std::uint32_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q5_0 = 6,
  q5_1 = 7,
  q8_0 = 8,
  q4_k = 12,
  q5_k = 13,
  q6_k = 14,
  bf16 = 30
};
// A row is whole blocks of so many values in so many bytes.
struct GgufLayout {
  std::size_t values, bytes;
};
// Nothing: a type that is not read.
std::optional<GgufLayout> gguf_layout(GgufType type);
inline constexpr std::string_view gguf_types_read =
    "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K and Q6_K";
// Whole blocks, in the order of their values; out holds exactly these. The same bits as the
// reference that the format is defined by (the sums and products are its, in its order).
void dequantise_blocks(GgufType type, std::span<const std::byte> blocks, std::span<float> out);
}  // namespace kairo::gpu
