// gpu/engine/device.h - what a run computes on where that is not the CPU itself. Nothing of torch
// or CUDA crosses this header: gpu/aten makes such.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "gpu/engine/ops.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
struct Device {
  std::string kind;             // "cuda": part of what makes two runs the same run
  std::string name;             // for people: "NVIDIA H200, compute capability 9.0"
  std::int64_t free_bytes = 0;  // of its own memory, as it was opened; 0: it has none, or any
  // For one engine or generator. unavailable: it does not compute what it should.
  std::function<Result<std::unique_ptr<Ops>>(int threads)> make;
};
using DevicePtr = std::shared_ptr<const Device>;  // null: the CPU
inline std::string kind_of(const DevicePtr& device) {
  return device == nullptr ? "cpu" : device->kind;
}
}  // namespace kairo::gpu
