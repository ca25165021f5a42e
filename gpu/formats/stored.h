// gpu/formats/stored.h - how numbers lie in a tensor: plain, or as GGUF's blocks of quantised ones.
// Source of the blocks: ggml's block_* structs.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace kairo::gpu {
enum class Stored : std::uint8_t { f32, bf16, f16, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k, q6_k };
// A row of a matrix is whole blocks: so many values in so many bytes. A plain number is one of one.
struct StoredLayout {
  std::string_view name;  // as GGUF's
  std::int64_t values, bytes;
};
// In the order of Stored.
inline constexpr std::array<StoredLayout, 11> stored_layouts = {{{"F32", 1, 4},
                                                                 {"BF16", 1, 2},
                                                                 {"F16", 1, 2},
                                                                 {"Q8_0", 32, 34},
                                                                 {"Q4_0", 32, 18},
                                                                 {"Q4_1", 32, 20},
                                                                 {"Q5_0", 32, 22},
                                                                 {"Q5_1", 32, 24},
                                                                 {"Q4_K", 256, 144},
                                                                 {"Q5_K", 256, 176},
                                                                 {"Q6_K", 256, 210}}};
constexpr const StoredLayout& layout_of(Stored kind) {
  return stored_layouts[static_cast<std::size_t>(kind)];
}
constexpr std::int64_t values_per_block(Stored kind) {
  return layout_of(kind).values;
}
constexpr std::int64_t bytes_per_block(Stored kind) {
  return layout_of(kind).bytes;
}
constexpr std::string_view name_of(Stored kind) {
  return layout_of(kind).name;
}
constexpr bool is_quantised(Stored kind) {
  return values_per_block(kind) > 1;
}
// So many values of each kind, in the order of Stored.
using StoredValues = std::array<std::int64_t, stored_layouts.size()>;
// The kinds that there are values of, what most values have first: "Q4_1, Q8_0".
std::string names_of(StoredValues values);
std::optional<Stored> stored_named(std::string_view name);  // nothing: no kind has this name
// Whole blocks, in the order of their values; out holds exactly these. The same bits as the
// reference that the format is defined by (the sums and products are its, in its order).
void dequantise_blocks(Stored kind, std::span<const std::byte> blocks, std::span<float> out);
}  // namespace kairo::gpu
