// gpu/kernels/rope.h - rotary position embedding in Hugging Face's layout (first half with second
// half).
#pragma once
#include <cstdint>

namespace kairo::gpu {
// Heads of one buffer, rotated in place: x + t * ld + h * dim is head h of token t, of which the
// first `rotary` values turn.
//   cos, sin: (rows, rotary / 2)   position: (T), a row of the tables each   rotary is even.
// inverse rotates back: the gradient of a rotation is its inverse. Bound: bytes.
struct RopeShape {
  std::int64_t T, heads, dim, ld, rotary;
};
void rope_cpu(float* x, const float* cos, const float* sin, const std::int32_t* position,
              RopeShape s, bool inverse);
}  // namespace kairo::gpu
