// gpu/aten/cuda_ops.h - an NVIDIA GPU: kairo's own kernels for all calls but the products of a
// training step, libtorch's operators for those, and for what is given up or does not fit a kernel.
#pragma once
#include <memory>

#include "gpu/aten/cuda_kernels.h"
#include "gpu/engine/forward_ops.h"

namespace kairo::gpu {
class DeviceMemory;
// device, memory: as make_aten_ops.
std::unique_ptr<ForwardOps> make_cuda_ops(const std::string& device, int threads,
                                          const CudaKernels& kernels,
                                          std::shared_ptr<DeviceMemory> memory = nullptr);
}  // namespace kairo::gpu
