// tests/gpu/aten/emulated.h - kairo's kernels as the emulator runs them (tests/gpu/cuda/emulator),
// behind the seam: what "cuda" is on a machine without a GPU.
#pragma once
#include <dlfcn.h>
#include <doctest/doctest.h>

#include "gpu/aten/cuda_ops.h"
#include "gpu/engine/device.h"

namespace kairo::gpu::test {
inline CudaKernels emulated_kernels() {
  auto opened = open_kernels(KAIRO_CUDA_EMULATED);
  REQUIRE_MESSAGE(opened.ok(), opened.error().what);
  CudaKernels kernels = std::move(opened).value();
  void* library = ::dlopen(KAIRO_CUDA_EMULATED, RTLD_NOW);
  kernels.wait =
      reinterpret_cast<std::int32_t (*)(void*)>(::dlsym(library, "cudaStreamSynchronize"));
  REQUIRE((kernels.wait != nullptr));
  return kernels;
}
inline DevicePtr emulated() {
  return std::make_shared<const Device>(
      Device{"cuda", "the emulator", "", 0, [](int threads) -> Result<std::unique_ptr<Ops>> {
               return std::unique_ptr<Ops>(make_cuda_ops("cpu", threads, emulated_kernels()));
             }});
}
}  // namespace kairo::gpu::test
