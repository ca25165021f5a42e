// gpu/aten/device_memory.h - where a device's buffers lie. One thread at a time.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "gpu/engine/buffer.h"

namespace kairo::gpu {
class DeviceMemory : public BufferOwner {
 public:
  virtual ~DeviceMemory() = default;
  virtual void* take(std::int64_t bytes) = 0;  // not initialised; aligned for vectors
  // Only between these a kernel of the host's may touch it. Pairs nest.
  virtual void open() = 0;
  virtual void close() = 0;
};
class MemoryMeter;
// "cuda:0": libtorch's allocator. "cpu": the host's memory, but as strange to its code as a GPU's:
// pages are out of reach while it is closed, and what is taken is full of NaN. So a place above the
// seam that touches a device's values is found where there is no device. meter: of "cpu", counts
// it, and while it is open what operators take, too.
std::shared_ptr<DeviceMemory> memory_of(const std::string& device,
                                        std::shared_ptr<MemoryMeter> meter = nullptr);
}  // namespace kairo::gpu
