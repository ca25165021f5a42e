// gpu/kernels/frozen.h - a frozen matrix as it is stored: what rows are multiplied with, unchanged.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>

#include "gpu/formats/stored.h"
#include "gpu/kernels/nf4.h"

namespace kairo::gpu {
// A view; the owner keeps the memory. (rows, cols), a row after the other; decoded values are those
// that a reader of the file would get (dequantise_blocks), or NF4's (nf4_dequantize_cpu).
struct Frozen {
  std::int64_t rows = 0, cols = 0;
  Stored kind = Stored::f32;
  const std::byte* data = nullptr;  // rows of row_bytes() each
  std::optional<Nf4View> nf4;       // then there is no data

  static Frozen of(Stored kind, const void* data, std::int64_t rows, std::int64_t cols) {
    return {rows, cols, kind, static_cast<const std::byte*>(data), {}};
  }
  static Frozen of(const Nf4View& nf4, std::int64_t rows, std::int64_t cols) {
    return {rows, cols, Stored::f32, nullptr, nf4};
  }
  std::int64_t row_bytes() const {
    return nf4 ? cols / 2 : cols / values_per_block(kind) * bytes_per_block(kind);
  }
  // Where row r begins, more or less: what is fetched ahead.
  const char* near(std::int64_t r) const {
    const void* begin = nf4 ? static_cast<const void*>(nf4->packed) : data;
    return static_cast<const char*>(begin) + r * row_bytes();
  }
};
// to: row r's cols values. Single-threaded.
void decode_row_cpu(float* to, const Frozen& from, std::int64_t r);
}  // namespace kairo::gpu
