// tests/gpu/cuda/desk.h - matrices on the device, made of values: with row strides, in both types,
// and with bytes around them that must stay.
#pragma once
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <list>
#include <span>
#include <vector>

#include "gpu/kernels/bf16.h"
#include "tests/gpu/cuda/plugin.h"
#include "tests/gpu/kernels/reference.h"

namespace kairo::gpu::test {
using Values = std::vector<float>;
using Indices = std::vector<std::int32_t>;
constexpr std::int32_t both[] = {kairo_f32, kairo_bf16};
struct Shape {
  std::int64_t rows, cols, ld;
  std::int32_t type = kairo_f32;
  std::int64_t count() const { return rows * cols; }
  std::int64_t size() const { return type == kairo_f32 ? 4 : 2; }
};

inline bool is_same(const Values& a, const Values& b) {  // to the bit
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * 4) == 0;
}

class Desk {  // what it gave lives as long as it does
 public:
  ~Desk() {
    for (const Block& b : blocks_) plugin().free(b.at);
  }
  // Rows of values, rounded where the type is bf16; what lies beside them is `around`.
  KairoMat put(const Shape& s, const Values& values) {
    std::vector<std::uint8_t> image(static_cast<std::size_t>(s.rows * s.ld * s.size()), around);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto at = static_cast<std::int64_t>(i);
      write(image.data() + (at / s.cols * s.ld + at % s.cols) * s.size(), values[i], s.type);
    }
    void* data = bytes(image.data(), image.size());
    blocks_.back().image = std::move(image);
    blocks_.back().shape = s;
    return {data, s.type, s.rows, s.cols, s.ld};
  }
  KairoMat room(const Shape& s) { return put(s, {}); }
  template <class T>
  const T* put(const std::vector<T>& values) {
    return static_cast<const T*>(bytes(values.data(), values.size() * sizeof(T)));
  }
  void* room_of(std::size_t bytes_of) {
    std::vector<std::uint8_t> empty(bytes_of, around);
    return bytes(empty.data(), bytes_of);
  }
  Values get(const KairoMat& m) const {
    const std::int64_t size = m.type == kairo_f32 ? 4 : 2, between = (m.ld - m.cols) * size;
    const std::int64_t at_once = between < 4096 ? m.rows : 1;  // rows that are far apart: alone
    const std::int64_t room = (at_once - 1) * m.ld * size + m.cols * size;
    std::vector<std::uint8_t> rows(static_cast<std::size_t>(room));
    Values out;
    for (std::int64_t r = 0; r < m.rows; ++r) {
      const auto* from = static_cast<const std::uint8_t*>(m.data) + r * m.ld * size;
      if (r % at_once == 0) CHECK(plugin().memcpy(rows.data(), from, rows.size(), 2) == 0);
      const std::uint8_t* row = rows.data() + r % at_once * m.ld * size;
      for (std::int64_t c = 0; c < m.cols; ++c) out.push_back(read(row + c * size, m.type));
    }
    if (seen().is_on && seen().is_first) seen().values.push_back(out);
    if (seen().is_on && !seen().is_first)
      CHECK_MESSAGE(is_same(out, seen().values.at(seen().next++)),
                    "another order of threads gave other bytes");
    return out;
  }
  // Whether all that lies between the columns and the row strides is as it was.
  bool is_around_kept() const {
    for (const Block& b : blocks_) {
      std::vector<std::uint8_t> now(b.image.size());
      if (now.empty()) continue;
      CHECK(plugin().memcpy(now.data(), b.at, now.size(), 2) == 0);
      const auto stride = static_cast<std::size_t>(b.shape.ld * b.shape.size());
      const auto inside = static_cast<std::size_t>(b.shape.cols * b.shape.size());
      for (std::size_t i = 0; i < now.size(); ++i)
        if (i % stride >= inside && now[i] != around) return false;
    }
    return true;
  }

 private:
  static constexpr std::uint8_t around = 0x5a;
  struct Block {
    void* at;
    std::vector<std::uint8_t> image;
    Shape shape{};
  };
  void* bytes(const void* values, std::size_t count) {
    void* at = nullptr;
    REQUIRE(plugin().malloc(&at, count) == 0);
    if (count > 0) REQUIRE(plugin().memcpy(at, values, count, 1) == 0);
    blocks_.push_back({at, {}, {}});
    return at;
  }
  static void write(std::uint8_t* to, float value, std::int32_t type) {
    const std::uint16_t narrow = bf16_of_float(value);
    if (type == kairo_f32)
      std::memcpy(to, &value, 4);
    else
      std::memcpy(to, &narrow, 2);
  }
  static float read(const std::uint8_t* from, std::int32_t type) {
    float wide = 0;
    std::uint16_t narrow = 0;
    if (type == kairo_f32) {
      std::memcpy(&wide, from, 4);
      return wide;
    }
    std::memcpy(&narrow, from, 2);
    return float_of_bf16(narrow);
  }
  std::list<Block> blocks_;
};
// What bf16 keeps of the values.
inline Values rounded(Values v) {
  for (float& x : v) x = float_of_bf16(bf16_of_float(x));
  return v;
}
inline Values rounded_as(const Values& v, std::int32_t type) {
  return type == kairo_bf16 ? rounded(v) : v;
}
// The largest |got - wanted| / (1 + |wanted|); infinite where a value is NaN or missing.
inline double apart(const Values& got, const Values& wanted) {
  return error_of(got, {wanted.begin(), wanted.end()});
}
// Sums in another order; a result that is rounded to bf16 may fall to the other side.
constexpr double of_sums = 4e-6;
inline double allowed(std::int32_t type, double in_f32 = of_sums) {
  return type == kairo_bf16 ? 1.0 / 128 : in_f32;
}
// Rows, columns, row stride: single values, odd numbers, one below and above powers of two.
inline std::vector<Shape> awkward_shapes() {
  return {{1, 1, 1},   {1, 31, 31},     {3, 33, 40},     {2, 255, 256}, {2, 257, 264},  {33, 8, 8},
          {5, 64, 64}, {2, 1023, 1030}, {1, 1025, 1025}, {65, 3, 7},    {2, 2050, 2064}};
}
}  // namespace kairo::gpu::test
