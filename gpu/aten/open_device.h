// gpu/aten/open_device.h - what --device says, as a device that has been tried.
#pragma once
#include <string>

#include "gpu/aten/cuda_device.h"
#include "gpu/engine/device.h"
#include "schemas/base/clock.h"

namespace kairo::gpu {
// Of --device, for people.
inline constexpr const char* devices_in_words =
    "What computes: cpu, cuda (an NVIDIA GPU), or auto: cuda where it can be used";
struct OpenedDevice {
  DevicePtr device;  // null: the CPU
  std::string text;  // for the log: what it is and how its self-test went; why it is the CPU
};
// name: "cpu"; "cuda"; "auto": cuda where it can be used, else the CPU; "aten-cpu": the device's
// operators on the CPU, for tests. not_found, invalid: as open_cuda(), or another name. corrupt:
// the device differs from the CPU (self_test.h).
Result<OpenedDevice> open_device(const std::string& name, const Clock& clock,
                                 const CudaLibraries& libraries = {});
}  // namespace kairo::gpu
