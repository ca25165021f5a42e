// gpu/aten/peak_memory.cpp - libtorch's own figures.
#include "gpu/aten/peak_memory.h"

#include <ATen/Context.h>
#include <c10/core/CachingDeviceAllocator.h>

namespace kairo::gpu {
std::int64_t peak_gpu_bytes() {
  if (!at::hasCUDA()) return 0;
  const auto stats = c10::getDeviceAllocator(c10::DeviceType::CUDA)->getDeviceStats(0);
  constexpr auto all = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  return stats.reserved_bytes[all].peak;
}
}  // namespace kairo::gpu
