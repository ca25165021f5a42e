// tests/gpu/cuda/emulator/memory.cpp - cudaMalloc, cudaMemcpy and who waits for whom.
#include "memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "cuda_runtime.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace emulator {
namespace {
constexpr std::size_t page = 4096, slack_max = 256;  // cudaMalloc aligns to 256 bytes
constexpr unsigned char after = 0xff;                // NaN to whoever reads too far
struct Block {
  std::byte* pages;  // between two pages that are never opened
  std::size_t bytes, room;
};
std::map<void*, Block> blocks;
int open = 0;

void protect(const Block& b, int rights) {
  if (mprotect(b.pages, b.room, rights) != 0) fail("mprotect failed");
}
// Bytes between the end of an allocation and the next page: ASan finds those who read them,
// everybody those who wrote them.
void check_rest(const Block& b) {
  const auto* rest = reinterpret_cast<const unsigned char*>(b.pages) + b.bytes;
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(rest, std::min(b.room - b.bytes, slack_max));
#endif
  for (std::size_t i = 0; i < std::min(b.room - b.bytes, slack_max); ++i)
    if (rest[i] != after) fail("a kernel wrote behind the end of an allocation");
#ifdef __SANITIZE_ADDRESS__
  __asan_poison_memory_region(rest, std::min(b.room - b.bytes, slack_max));
#endif
}
}  // namespace

OpenMemory::OpenMemory() {
  if (open++ > 0) return;
  for (const auto& [at, block] : blocks) protect(block, PROT_READ | PROT_WRITE);
}
OpenMemory::~OpenMemory() {
  if (--open > 0) return;
  for (const auto& [at, block] : blocks) {
    check_rest(block);
    protect(block, PROT_NONE);
  }
}
}  // namespace emulator

using emulator::blocks;

// The end lies as near to a page that is never opened as the alignment lets it.
cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  using namespace emulator;
  const std::size_t whole = (bytes + slack_max - 1) / slack_max * slack_max;
  const std::size_t room = (whole + page - 1) / page * page;
  void* all =
      mmap(nullptr, room + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (all == MAP_FAILED) return cudaErrorMemoryAllocation;
  auto* pages = static_cast<std::byte*>(all) + page;
  Block block = {pages, bytes + (room - whole), room};
  *pointer = pages + (room - whole);
  protect(block, PROT_READ | PROT_WRITE);
  std::memset(static_cast<std::byte*>(*pointer) + bytes, after, whole - bytes);
  if (bytes <= (1u << 26)) std::memset(*pointer, 0xff, bytes);  // nothing is there yet
  blocks[*pointer] = block;
#ifdef __SANITIZE_ADDRESS__
  __asan_poison_memory_region(pages + block.bytes, room - block.bytes);
#endif
  protect(block, PROT_NONE);
  return cudaSuccess;
}
cudaError_t cudaFree(void* pointer) {
  const auto found = blocks.find(pointer);
  if (pointer == nullptr) return cudaSuccess;
  if (found == blocks.end()) return cudaErrorInvalidValue;
  cudaDeviceSynchronize();
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(found->second.pages, found->second.room);
#endif
  munmap(found->second.pages - emulator::page, found->second.room + 2 * emulator::page);
  blocks.erase(found);
  return cudaSuccess;
}
// Behind everything that is queued, and it waits.
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind) {
  cudaDeviceSynchronize();
  const emulator::OpenMemory open;
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  emulator::finish(stream);
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
  emulator::finish_all();
  return cudaSuccess;
}
const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
  }
  return "unknown error";
}
