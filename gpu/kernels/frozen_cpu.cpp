// gpu/kernels/frozen_cpu.cpp - which instruction set there is, and a row's values.
#include "gpu/kernels/frozen.h"
#include "gpu/kernels/frozen_tiles.h"

namespace kairo::gpu {
bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512cd");
}
const FrozenTiles& frozen_tiles() {
  static const FrozenTiles& tiles = has_avx512() ? tiles_avx512 : tiles_avx2;
  return tiles;
}
void decode_row_cpu(float* to, const Frozen& from, std::int64_t r) {
  if (from.nf4) return nf4_dequantize_run_cpu(to, *from.nf4, r * from.cols, from.cols);
  frozen_tiles().decode(from.kind, to, from.data + r * from.row_bytes(), from.cols);
}
}  // namespace kairo::gpu
