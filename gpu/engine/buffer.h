// gpu/engine/buffer.h - a fixed block of floats, aligned for vectors, not initialised; on the host
// or a device.
#pragma once
#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>

#include "gpu/plan/buffer_bytes.h"
#include "schemas/base/assert.h"

namespace kairo::gpu {
// huge: products go through all of it. small: of a large block only the parts in use become
// resident, which huge pages would round up to 2 MiB each.
enum class Pages : std::uint8_t { huge, small };
// Whose memory a buffer is, if it is not the host's own; outlives its buffers.
class BufferOwner {
 public:
  virtual void give_back(void* data) = 0;

 protected:
  ~BufferOwner() = default;
};
// Owns its memory; movable. Pages count as used only once they are written.
class Buffer {
 public:
  Buffer() = default;
  // A device's memory, which the host must not touch.
  Buffer(void* data, std::int64_t floats, BufferOwner& owner)
      : data_(static_cast<float*>(data), Free{&owner}), size_(floats) {}
  // What somebody else owns and only is read.
  static Buffer view(const void* data, std::int64_t bytes) {
    static struct Nobody final : BufferOwner {
      void give_back(void*) override {}
    } nobody;
    return {const_cast<void*>(data), (bytes + 3) / 4, nobody};
  }
  explicit Buffer(std::int64_t floats, Pages pages = Pages::huge) : size_(floats) {
    const auto bytes = static_cast<std::size_t>(buffer_bytes(floats));
    const bool large = bytes >= 4 * huge_page_bytes;
    data_.reset(static_cast<float*>(
        std::aligned_alloc(large ? huge_page_bytes : 64, bytes + (bytes == 0 ? 64 : 0))));
    KAIRO_ASSERT(data_ != nullptr, "the memory plan reserved this buffer");
    if (large)  // advice only
      static_cast<void>(
          ::madvise(data_.get(), bytes, pages == Pages::huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE));
  }
  float* data() { return data_.get(); }
  const float* data() const { return data_.get(); }
  std::int64_t size() const { return size_; }
  std::span<float> span() { return {data_.get(), static_cast<std::size_t>(size_)}; }
  std::span<const float> span() const { return {data_.get(), static_cast<std::size_t>(size_)}; }

 private:
  struct Free {
    BufferOwner* owner;  // null: malloc
    Free() : owner(nullptr) {}
    explicit Free(BufferOwner* of) : owner(of) {}
    void operator()(float* p) const {
      if (owner == nullptr)
        std::free(p);
      else
        owner->give_back(p);
    }
  };
  std::unique_ptr<float[], Free> data_;
  std::int64_t size_ = 0;
};
}  // namespace kairo::gpu
