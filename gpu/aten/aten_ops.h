// gpu/aten/aten_ops.h - any device that libtorch has kernels for, behind the seam: each call is a
// few of ATen's operators. Nothing of torch crosses this header.
#pragma once
#include <memory>
#include <string>

#include "gpu/engine/ops.h"

namespace kairo::gpu {
// device: "cpu", whose memory is then as strange to the host as a GPU's (device_memory.h), to test
// what runs on "cuda:0", which use_cuda() must have opened. threads: of the host.
std::unique_ptr<Ops> make_aten_ops(const std::string& device, int threads);
// The same over memory that others use, too.
class DeviceMemory;
std::unique_ptr<Ops> make_aten_ops(const std::string& device, int threads,
                                   std::shared_ptr<DeviceMemory> memory);
}  // namespace kairo::gpu
