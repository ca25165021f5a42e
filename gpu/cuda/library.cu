// gpu/cuda/library.cu - the library itself: which header it was built with, what its codes mean.
#include "gpu/cuda/device.h"

extern "C" std::int32_t kairo_cuda_abi() {
  return kairo_cuda_abi_now;
}

extern "C" const char* kairo_cuda_error_text(std::int32_t code) {
  if (code == kairo_cuda_unfit) return "these kernels do not take such shapes or types";
  return cudaGetErrorString(static_cast<cudaError_t>(code));
}
