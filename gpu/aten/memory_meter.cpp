// gpu/aten/memory_meter.cpp - an allocator between libtorch's operators and its own.
#include "gpu/aten/memory_meter.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <string>

namespace kairo::gpu {
namespace {
struct Taken {
  MemoryMeter* meter;
  std::int64_t bytes;
};
// What is libtorch's data is its own context, as callers of raw_deleter() expect: what a block was
// counted for is told apart.
class Counting final : public c10::Allocator {
 public:
  explicit Counting(c10::Allocator* below) : below_(below) {}
  c10::DataPtr allocate(std::size_t size) override {
    MemoryMeter* const meter = counted;
    if (meter == nullptr || size == 0) return below_->allocate(size);
    const auto bytes = static_cast<std::int64_t>(size);
    meter->take(bytes);
    void* const data = below_->raw_allocate(size);
    {
      const std::lock_guard lock(mutex_);
      taken_[data] = {meter, bytes};
    }
    return {data, data, &give_back, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &give_back; }
  void copy_data(void* to, const void* from, std::size_t count) const override {
    below_->copy_data(to, from, count);
  }
  std::atomic<MemoryMeter*> counted = nullptr;
  static Counting& only() {  // never goes: tensors may outlive all else
    static auto* const made = [] {
      auto* counting = new Counting(c10::GetCPUAllocator());
      c10::SetCPUAllocator(counting, 1);
      return counting;
    }();
    return *made;
  }

 private:
  static void give_back(void* data) {
    Counting& own = only();
    {
      const std::lock_guard lock(own.mutex_);
      if (const auto found = own.taken_.find(data); found != own.taken_.end()) {
        found->second.meter->give_back(found->second.bytes);
        own.taken_.erase(found);
      }
    }
    own.below_->raw_deallocate(data);
  }
  c10::Allocator* below_;
  std::mutex mutex_;
  std::map<void*, Taken> taken_;
};
}  // namespace

void MemoryMeter::take(std::int64_t bytes) {
  if (limit_ > 0 && now_ + bytes > limit_)
    throw c10::OutOfMemoryError({__func__, __FILE__, 0},
                                "tried to allocate " + std::to_string(bytes) + " bytes; of " +
                                    std::to_string(limit_) + " there are " +
                                    std::to_string(limit_ - now_) + " free");
  now_ += bytes;
  peak_ = std::max(peak_, now_);
}

MemoryMeter* count_operators(MemoryMeter* meter) {
  return Counting::only().counted.exchange(meter);
}
}  // namespace kairo::gpu
