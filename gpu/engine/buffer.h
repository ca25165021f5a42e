// gpu/engine/buffer.h - a fixed block of floats, aligned for vectors, not initialised.
#pragma once
#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>

#include "schemas/base/assert.h"

namespace kairo::gpu {
// Owns its memory; movable. Pages count as used only once they are written.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::int64_t floats) : size_(floats) {
    constexpr std::size_t huge_page = 2 << 20;
    std::size_t bytes = (static_cast<std::size_t>(floats) * sizeof(float) + 63) / 64 * 64;
    const bool large = bytes >= 4 * huge_page;
    if (large) bytes = (bytes + huge_page - 1) / huge_page * huge_page;
    data_.reset(static_cast<float*>(
        std::aligned_alloc(large ? huge_page : 64, bytes + (bytes == 0 ? 64 : 0))));
    KAIRO_ASSERT(data_ != nullptr, "the memory plan reserved this buffer");
    if (large) static_cast<void>(::madvise(data_.get(), bytes, MADV_HUGEPAGE));  // advice only
  }
  float* data() { return data_.get(); }
  const float* data() const { return data_.get(); }
  std::int64_t size() const { return size_; }
  std::span<float> span() { return {data_.get(), static_cast<std::size_t>(size_)}; }
  std::span<const float> span() const { return {data_.get(), static_cast<std::size_t>(size_)}; }

 private:
  struct Free {
    void operator()(float* p) const { std::free(p); }
  };
  std::unique_ptr<float[], Free> data_;
  std::int64_t size_ = 0;
};
}  // namespace kairo::gpu
