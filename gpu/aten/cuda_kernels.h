// gpu/aten/cuda_kernels.h - kairo's own kernels (gpu/cuda/kernels.h), from the library that is
// opened at run time.
#pragma once
#include <cstdint>
#include <string>

#include "gpu/cuda/kernels.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
struct CudaKernels {
#define KAIRO_LAUNCH(name) decltype(&::kairo_cuda_##name) name = nullptr;
  KAIRO_CUDA_LAUNCHES(KAIRO_LAUNCH)
#undef KAIRO_LAUNCH
  decltype(&::kairo_cuda_error_text) error_text = nullptr;
  // Of an emulator, whose launches are nobody's before they are waited for. A GPU has its own order
  // with libtorch's operators: both use the default stream.
  std::int32_t (*wait)(void* stream) = nullptr;
};
// not_found: the library does not open. invalid: it is of another version.
Result<CudaKernels> open_kernels(const std::string& path);
}  // namespace kairo::gpu
