// gpu/kernels/frozen_loops.h - the inner loops of serving over an instruction set V; one file for
// each includes this and compiles it for it. Nothing of a library is called here: the linker could
// give the AVX-512 copy of an inline function to everybody.
#pragma once
#include <cstdint>

#include "gpu/kernels/exp.h"
#include "gpu/kernels/frozen_decode.h"
#include "gpu/kernels/frozen_tiles.h"

namespace kairo::gpu {
namespace {
// V: Reg; rows: of x in a register of products; columns: that fit a tile; lanes: values of a
// register; mix_rows, mix_registers: a tile of mix.
//   load, store, zero, broadcast, fma(a, b, c) = a b + c; step: eight values, for each of the rows
//   sums_of_four(sums, y): of four columns' registers, a row of y (stride 8) for each of the rows
template <class V, int groups>
void product_tile(float* y, const float* x, const float* w, std::int64_t ld_w, std::int64_t steps,
                  const char*& ahead) {
  using Reg = typename V::Reg;
  constexpr std::int64_t width = V::rows * step_values;
  for (std::int64_t first = 0; first < tile_columns; first += V::columns) {
    Reg sums[groups][V::columns];
    for (auto& of_group : sums)
      for (Reg& sum : of_group) sum = V::zero();
    const float* column = w + first * ld_w;
    for (std::int64_t s = 0; s < steps; ++s) {
      __builtin_prefetch(ahead, 0, 2);
      ahead += 64;
      Reg rows[groups];
      for (int g = 0; g < groups; ++g) rows[g] = V::load(x + (g * steps + s) * width);
      for (int c = 0; c < V::columns; ++c) {
        const Reg weights = V::step(column + c * ld_w + s * step_values);
        for (int g = 0; g < groups; ++g) sums[g][c] = V::fma(rows[g], weights, sums[g][c]);
      }
    }
    for (int g = 0; g < groups; ++g)
      for (int c = 0; c < V::columns; c += 4)
        V::sums_of_four(sums[g] + c, y + g * V::rows * tile_columns + first + c);
  }
}
template <class V>
void product(float* y, const float* x, const float* w, std::int64_t ld_w, std::int64_t steps,
             std::int64_t groups, const char* ahead) {
  if (groups == 1) return product_tile<V, 1>(y, x, w, ld_w, steps, ahead);
  if (groups == 2) return product_tile<V, 2>(y, x, w, ld_w, steps, ahead);
  product_tile<V, 3>(y, x, w, ld_w, steps, ahead);
}

using Floats = float __attribute__((vector_size(32)));
using Ints = std::int32_t __attribute__((vector_size(32)));
// As exp_f32, of eight values.
inline Floats exp_of(Floats x) {
  x = x < -87.0f ? Floats{} - 87.0f : x;
  x = x > 88.0f ? Floats{} + 88.0f : x;
  const Floats shifted = x * 1.44269504f + 12582912.0f, n = shifted - 12582912.0f;
  const Floats r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  const Ints two_to_n = (reinterpret_cast<Ints>(shifted) + (127 - 0x4B400000)) << 23;
  return exp_of_small(r) * reinterpret_cast<Floats>(two_to_n);
}
inline Floats load_floats(const float* from) {
  Floats out;
  __builtin_memcpy(&out, from, sizeof out);
  return out;
}
inline float exponentials(float* row, std::int64_t keys, float scale) {
  float max = row[0];
  Floats largest = Floats{} + max;
  const std::int64_t whole = keys / step_values * step_values;
  for (std::int64_t k = 0; k < whole; k += step_values) {
    const Floats values = load_floats(row + k);
    largest = values > largest ? values : largest;
  }
  for (std::int64_t lane = 0; lane < step_values; ++lane)
    max = largest[lane] > max ? largest[lane] : max;
  for (std::int64_t k = whole; k < keys; ++k) max = row[k] > max ? row[k] : max;
  Floats sums = {};
  for (std::int64_t k = 0; k < keys; k += step_values) {
    Floats values = exp_of(scale * (load_floats(row + k) - max));
    for (std::int64_t lane = keys - k; lane < step_values; ++lane) values[lane] = 0;
    __builtin_memcpy(row + k, &values, sizeof values);
    sums += values;
  }
  float sum = 0;
  for (std::int64_t lane = 0; lane < step_values; ++lane) sum += sums[lane];
  return sum;
}

template <class V, int rows, int registers>
void mix_tile(float* const* out, const float* p, std::int64_t ld_p, const float* factor,
              const float* v, std::int64_t keys, std::int64_t dim) {
  using Reg = typename V::Reg;
  Reg sums[rows][registers];
  for (auto& of_row : sums)
    for (Reg& sum : of_row) sum = V::zero();
  for (std::int64_t k = 0; k < keys; ++k) {
    Reg values[registers];
    for (int i = 0; i < registers; ++i) values[i] = V::load(v + k * dim + i * V::lanes);
    for (int r = 0; r < rows; ++r) {
      const Reg weight = V::broadcast(p[r * ld_p + k]);
      for (int i = 0; i < registers; ++i) sums[r][i] = V::fma(weight, values[i], sums[r][i]);
    }
  }
  for (int r = 0; r < rows; ++r)
    for (int i = 0; i < registers; ++i)
      V::store(out[r] + i * V::lanes, V::mul(V::broadcast(factor[r]), sums[r][i]));
}
template <class V, int rows>
void mix_rows(float* const* out, const float* p, std::int64_t ld_p, const float* factor,
              const float* v, std::int64_t keys, std::int64_t dim) {
  std::int64_t d = 0;
  float* to[rows];
  const auto move = [&] {
    for (int r = 0; r < rows; ++r) to[r] = out[r] + d;
  };
  for (move(); d + V::mix_registers * V::lanes <= dim; d += V::mix_registers * V::lanes, move())
    mix_tile<V, rows, V::mix_registers>(to, p, ld_p, factor, v + d, keys, dim);
  for (; d + V::lanes <= dim; d += V::lanes, move())
    mix_tile<V, rows, 1>(to, p, ld_p, factor, v + d, keys, dim);
  for (; d < dim; ++d)
    for (int r = 0; r < rows; ++r) {
      float sum = 0;
      for (std::int64_t k = 0; k < keys; ++k)
        sum = __builtin_fmaf(p[r * ld_p + k], v[k * dim + d], sum);
      out[r][d] = factor[r] * sum;
    }
}
template <class V>
void mix(float* const* out, const float* p, std::int64_t ld_p, const float* factor,
         std::int64_t rows, const float* v, std::int64_t keys, std::int64_t dim) {
  std::int64_t r = 0;
  for (; r + V::mix_rows <= rows; r += V::mix_rows)
    mix_rows<V, V::mix_rows>(out + r, p + r * ld_p, ld_p, factor + r, v, keys, dim);
  for (; r < rows; ++r) mix_rows<V, 1>(out + r, p + r * ld_p, ld_p, factor + r, v, keys, dim);
}
template <class V>
constexpr FrozenTiles tiles_of() {
  return {V::rows, product<V>, exponentials, mix<V>, decode<V>, nf4_block<V>};
}
}  // namespace
}  // namespace kairo::gpu
