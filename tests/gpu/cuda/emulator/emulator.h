// tests/gpu/cuda/emulator/emulator.h - CUDA's execution model on one CPU thread. Each thread of a
// block is a fiber that runs up to its next barrier or shuffle; the order of threads and blocks is
// shuffled by a seed. Launches wait in their stream until somebody waits for it; "device" memory
// can be touched only while they run. What CUDA leaves undefined ends the process with one line.
#pragma once
#include <cstddef>
#include <cstdint>

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned of_x = 1, unsigned of_y = 1, unsigned of_z = 1)
      : x(of_x), y(of_y), z(of_z) {}
};

namespace emulator {
// Where a thread stands in the source, when it waits.
struct Site {
  const char* file;
  int line;
};
// What a kernel sees of itself.
struct Here {
  dim3 thread, block, block_size, grid_size;
  int flat = 0;                    // the thread's number within the block
  std::uint64_t block_number = 0;  // of all blocks that ran: each has shared memory of its own
  std::uint64_t interval = 0;      // between two barriers; counted over all blocks
};
extern Here here;

[[noreturn]] void fail(const char* what, Site site = {});
void check_aligned(const void* at, std::size_t bytes);
void block_barrier(Site site);
// Waits until all lanes of `mask` are at the same place, and gives what lane `source` brought.
std::uint64_t exchange(std::uint64_t value, unsigned mask, unsigned source, Site site);
unsigned ballot(bool predicate, unsigned mask, Site site);
inline unsigned lane() {
  return static_cast<unsigned>(here.flat) % 32;
}

// A kernel with its arguments, which are copied when it is launched.
struct Call {
  virtual ~Call() = default;
  virtual void run() const = 0;
};
int queue(void* stream, dim3 grid, dim3 block, Call* call);  // takes the call; a cudaError_t
}  // namespace emulator

// For tests (by dlsym): 0: threads and blocks in ascending order, 1: descending, else shuffled.
extern "C" void emulator_seed(unsigned seed);
