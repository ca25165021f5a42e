// gpu/engine/mat.h - views of what a device's kernels read and write; nothing here owns memory.
#pragma once
#include <cstdint>

#include "schemas/base/assert.h"

namespace kairo::gpu {
enum class Type : std::uint8_t { f32, bf16 };
constexpr std::int64_t size_of(Type t) {
  return t == Type::f32 ? 4 : 2;
}
// What so many values take of a buffer (buffer.h), which counts floats.
constexpr std::int64_t floats_of(Type t, std::int64_t values) {
  return (values * size_of(t) + 3) / 4;
}
// (rows, cols), row-major; ld: values from one row to the next. A view of const memory must only
// be read.
struct Mat {
  void* data = nullptr;
  Type type = Type::f32;
  std::int64_t rows = 0, cols = 0, ld = 0;

  static Mat f32(const float* data, std::int64_t rows, std::int64_t cols, std::int64_t ld = 0) {
    return of(Type::f32, data, rows, cols, ld);
  }
  static Mat of(Type type, const void* data, std::int64_t rows, std::int64_t cols,
                std::int64_t ld = 0) {
    return {const_cast<void*>(data), type, rows, cols, ld == 0 ? cols : ld};
  }
  bool is_dense() const { return ld == cols || rows <= 1; }
  Mat first(std::int64_t count) const { return rows_at(0, count); }
  Mat rows_at(std::int64_t begin, std::int64_t count) const {
    return {at(begin * ld), type, count, cols, ld};
  }
  // Of the whole rows, so that what lies behind the columns can be had, too.
  Mat columns_at(std::int64_t begin, std::int64_t count) const {
    KAIRO_ASSERT(begin + count <= ld, "columns lie within the row stride");
    return {at(begin), type, rows, count, ld};
  }
  // A dense matrix within a flat buffer, which this view is.
  Mat flat_at(std::int64_t begin, std::int64_t its_rows, std::int64_t its_cols) const {
    return {at(begin), type, its_rows, its_cols, its_cols};
  }

 private:
  void* at(std::int64_t values) const { return static_cast<char*>(data) + values * size_of(type); }
};
// Rows of several sequences, laid end to end: what a padding-free batch is to attention and rope.
struct Ragged {
  const std::int32_t* starts = nullptr;     // (segments + 1): segment s is rows [starts[s],
                                            // starts[s + 1])
  const std::int32_t* positions = nullptr;  // (tokens): each row's place in its sequence
  std::int64_t segments = 0, longest = 0, tokens = 0;  // longest: rows of the longest segment
  const std::int32_t* angles = nullptr;                // (tokens): each row's row of the rope table
};
// Query heads share the key and value heads in equal groups. A row of qkv is q heads, k heads, v
// heads; interleaved: of each group in turn its q heads, its k head, its v head. window: a row sees
// so many keys, its own among them; 0: all before it. scale of the scores; 0: 1 / sqrt(dim). cap:
// scores are cap tanh(scores / cap); 0: none.
struct Heads {
  std::int64_t queries = 0, keys = 0, dim = 0, window = 0;
  float scale = 0, cap = 0;
  bool interleaved = false;
  std::int64_t group() const { return queries / keys; }
  // The first column of a head: of queries, of keys, of values.
  std::int64_t query_at(std::int64_t head) const {
    return (interleaved ? head / group() * (group() + 2) + head % group() : head) * dim;
  }
  std::int64_t key_at(std::int64_t head) const {
    return (interleaved ? head * (group() + 2) + group() : queries + head) * dim;
  }
  std::int64_t value_at(std::int64_t head) const {
    return key_at(head) + (interleaved ? 1 : keys) * dim;
  }
  std::int64_t columns() const { return (queries + 2 * keys) * dim; }
};
// Keys and values of sequences that go on: (slots, layers, key heads, context, dim) each. Segment s
// of a batch goes on in slot slots[s], from the position of its first row.
struct KvCache {
  Mat keys, values;  // a row is one token's of one head
  std::int64_t layers = 0, context = 0;
  const std::int32_t* slots = nullptr;
};
// Cosines and sines of the rotary embedding: (rows, rotary dim / 2) each.
struct RopeMats {
  Mat cos, sin;
};
}  // namespace kairo::gpu
