// gpu/engine/device.h - what a run computes on where that is not the CPU itself. Nothing of torch
// or CUDA crosses this header: gpu/aten/open_device.h makes such.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

#include "gpu/engine/ops.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
// What a device's call throws that cannot go on, so that the thirty calls need no results. Engines'
// and generators' callers get it as an error: caught().
struct DeviceFailure : std::runtime_error {
  DeviceFailure(bool memory, const std::string& what) : runtime_error(what), is_memory(memory) {}
  bool is_memory;  // there is too little of it; else the device is broken
  Error error() const { return {is_memory ? Code::unavailable : Code::corrupt, what()}; }
};
template <class Run>
auto caught(const Run& run) -> decltype(run()) {
  try {
    return run();
  } catch (const DeviceFailure& failure) {
    return failure.error();
  }
}
struct Device {
  std::string kind;             // "cuda": part of what makes two runs the same run
  std::string name;             // for people: "NVIDIA H200, compute capability 9.0"
  std::string self_test;        // how it compared with the CPU (self_test.h)
  std::int64_t free_bytes = 0;  // of its own memory, as it was opened; 0: it has none, or any
  // For one engine or generator. unavailable: it does not compute what it should.
  std::function<Result<std::unique_ptr<Ops>>(int threads)> make;
  bool by_kernels = false;  // kairo's kernels compute all but products
  bool by_flash = false;    // and libtorch's flash kernels attention in bf16
  std::string gpu{};  // its uuid, as NVIDIA's tools write it: "GPU-..."; "" = none, or not known
};
using DevicePtr = std::shared_ptr<const Device>;  // null: the CPU
inline std::string kind_of(const DevicePtr& device) {
  return device == nullptr ? "cpu" : device->kind;
}
}  // namespace kairo::gpu
