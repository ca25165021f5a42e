// gpu/cuda/shared.h - arrays in a block's shared memory. get and set, so that the emulator
// (tests/gpu/cuda/emulator) sees each access: it finds races and indices that are out of range.
#pragma once
#ifdef KAIRO_EMULATED
#include <emulated_shared.h>
#else
namespace kairo::cuda {
template <class T, int count>
struct Shared {
  T values[count];
  __device__ __forceinline__ T get(int i) const { return values[i]; }
  __device__ __forceinline__ void set(int i, T value) { values[i] = value; }
};
}  // namespace kairo::cuda
#endif
