// tests/gpu/cuda/plugin.h - the kernels under test: libkairo_cuda.so on a GPU, or its source in the
// emulator. Which one says KAIRO_CUDA_PLUGIN; without it, the emulator's.
#pragma once
#include <cstddef>
#include <vector>

#include "gpu/cuda/kernels.h"

namespace kairo::gpu::test {
struct Plugin {
#define KAIRO_ENTRY(name) decltype(&kairo_cuda_##name) name = nullptr;
  KAIRO_CUDA_LAUNCHES(KAIRO_ENTRY)
#undef KAIRO_ENTRY
  decltype(&kairo_cuda_abi) abi = nullptr;
  decltype(&kairo_cuda_error_text) error_text = nullptr;
  // CUDA's runtime, which the library is linked with.
  int (*malloc)(void**, std::size_t) = nullptr;
  int (*free)(void*) = nullptr;
  int (*memcpy)(void*, const void*, std::size_t, int) = nullptr;
  int (*synchronise)() = nullptr;
  void (*seed)(unsigned) = nullptr;  // null on a GPU
};
const Plugin& plugin();  // ends the process where it cannot be opened
// What check() gets in one order of threads it must get in all, to the bit (desk.h looks at it).
struct Seen {
  bool is_first = true, is_on = false;
  std::vector<std::vector<float>> values;
  std::size_t next = 0;
};
inline Seen& seen() {
  static Seen values;
  return values;
}
// Runs check() in each order of threads that is worth it: some in the emulator (two where
// sanitizers make fibers slow); on a GPU twice.
template <class Check>
void in_each_order(const Check& check) {
#ifdef __SANITIZE_ADDRESS__
  constexpr unsigned step = 2;
#else
  constexpr unsigned step = 1;
#endif
  const unsigned orders = plugin().seed == nullptr ? 2 : 4;
  seen() = {true, true, {}, 0};
  for (unsigned order = 0; order < orders; order += step) {
    if (plugin().seed != nullptr) plugin().seed(order);
    check();
    seen().is_first = false;
    seen().next = 0;
  }
  seen() = {};
}
}  // namespace kairo::gpu::test
