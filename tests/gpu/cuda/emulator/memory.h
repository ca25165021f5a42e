// tests/gpu/cuda/emulator/memory.h - "device" memory: pages that nobody may touch but kernels and
// copies while they run.
#pragma once

namespace emulator {
struct OpenMemory {  // while it lives, kernels may touch what cudaMalloc gave
  OpenMemory();
  ~OpenMemory();
  OpenMemory(const OpenMemory&) = delete;
};
void finish(void* stream);  // runs what waits in it
void finish_all();
}  // namespace emulator
