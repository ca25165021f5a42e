// gpu/aten/peak_memory.h - what a run has had of a GPU's memory.
#pragma once
#include <cstdint>

namespace kairo::gpu {
// The most bytes that libtorch's allocator held of the first GPU at a time, free blocks of its own
// included; 0: there is none.
std::int64_t peak_gpu_bytes();
}  // namespace kairo::gpu
