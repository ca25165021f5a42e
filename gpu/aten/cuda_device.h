// gpu/aten/cuda_device.h - whether this machine has an NVIDIA GPU that kairo can compute on.
// Nothing of CUDA is linked: driver and libtorch's CUDA half are opened at run time, in this order,
// and each absence is one line with its remedy.
#pragma once
#include <array>
#include <cstdint>
#include <string>

#include "schemas/base/result.h"

namespace kairo::gpu {
// What the driver says of itself and of the first GPU.
struct CudaFacts {
  int devices = 0;
  int driver = 0;  // the newest CUDA that it runs: 13000 for 13.0
  std::string name;
  int major = 0, minor = 0;  // compute capability
  std::int64_t memory_bytes = 0, free_bytes = 0;
  std::string uuid{};        // "GPU-8a6f...", as NVIDIA's tools write it; "" = it does not say
  std::string text() const;  // "NVIDIA H200, compute capability 9.0, 139 GiB"
};
std::string uuid_text(const std::array<unsigned char, 16>& bytes);  // "GPU-..."; pure
// invalid: no GPU, a driver that is too old for CUDA 13 (before 580), a GPU before 8.0. Pure.
Status check(const CudaFacts& facts);

struct CudaLibraries {
  std::string driver = "libcuda.so.1";
  std::string torch;    // "": libtorch_cuda.so beside the libtorch_cpu.so that runs
  std::string kernels;  // "": libkairo_cuda.so in ../lib/kairo of the program, or beside it
};
// not_found: no driver is installed. invalid: as check(), or another library is not there. Once it
// is ok, libtorch has its CUDA half.
Result<CudaFacts> open_cuda(const CudaLibraries& libraries = {});
}  // namespace kairo::gpu
