// gpu/plan/buffer_bytes.h - what a block of floats takes of memory.
#pragma once
#include <cstdint>

namespace kairo::gpu {
constexpr std::int64_t huge_page_bytes = 2 << 20;
// What a buffer of so many floats takes: a large one whole huge pages, so that all of it can lie in
// such.
constexpr std::int64_t buffer_bytes(std::int64_t floats) {
  const std::int64_t bytes = (floats * static_cast<std::int64_t>(sizeof(float)) + 63) / 64 * 64;
  if (bytes < 4 * huge_page_bytes) return bytes;
  return (bytes + huge_page_bytes - 1) / huge_page_bytes * huge_page_bytes;
}
}  // namespace kairo::gpu
