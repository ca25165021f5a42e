// gpu/aten/device_memory.cpp - libtorch's allocator, or a guarded range of the host's.
#include "gpu/aten/device_memory.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/Device.h>
#include <sys/mman.h>

#include <cstring>
#include <map>

#include "gpu/aten/memory_meter.h"
#include "schemas/base/assert.h"

namespace kairo::gpu {
namespace {
class TensorMemory final : public DeviceMemory {
 public:
  explicit TensorMemory(c10::Device device) : device_(device) {}
  void* take(std::int64_t bytes) override {
    const at::Tensor block =
        at::empty({std::max<std::int64_t>(bytes, 1)}, at::TensorOptions(at::kByte).device(device_));
    void* data = block.data_ptr();
    blocks_.emplace(data, block);
    return data;
  }
  void give_back(void* data) override { blocks_.erase(data); }
  void open() override {}
  void close() override {}

 private:
  c10::Device device_;
  std::map<void*, at::Tensor> blocks_;
};

class GuardedMemory final : public DeviceMemory {
 public:
  explicit GuardedMemory(std::shared_ptr<MemoryMeter> meter) : meter_(std::move(meter)) {
    void* range =
        ::mmap(nullptr, range_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    KAIRO_ASSERT(range != MAP_FAILED, "addresses cost nothing");
    base_ = static_cast<char*>(range);
    free_.emplace(0, range_bytes);
  }
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;
  ~GuardedMemory() override { ::munmap(base_, range_bytes); }
  void* take(std::int64_t bytes) override {
    const std::size_t size = (static_cast<std::size_t>(bytes) / grain + 1) * grain;
    if (meter_ != nullptr) meter_->take(static_cast<std::int64_t>(size));
    auto at = free_.begin();
    while (at != free_.end() && at->second < size) ++at;
    KAIRO_ASSERT(at != free_.end(), "no test needs so much");
    const auto [begin, room] = *at;
    free_.erase(at);
    if (room > size) free_.emplace(begin + size, room - size);
    taken_.emplace(begin, size);
    end_ = std::max(end_, (begin + size + page - 1) / page * page);
    ++depth_;
    protect(PROT_READ | PROT_WRITE);  // what is new, too
    std::memset(base_ + begin, 0xff, size);
    close();
    return base_ + begin;
  }
  void give_back(void* data) override {
    const auto taken = taken_.find(static_cast<std::size_t>(static_cast<char*>(data) - base_));
    KAIRO_ASSERT(taken != taken_.end(), "what is given back was taken");
    auto [begin, size] = *taken;
    taken_.erase(taken);
    if (meter_ != nullptr) meter_->give_back(static_cast<std::int64_t>(size));
    auto next = free_.lower_bound(begin);
    if (next != free_.end() && begin + size == next->first) {
      size += next->second;
      next = free_.erase(next);
    }
    if (next != free_.begin())
      if (const auto before = std::prev(next); before->first + before->second == begin) {
        before->second += size;
        return;
      }
    free_.emplace(begin, size);
  }
  void open() override {
    if (depth_++ > 0) return;
    protect(PROT_READ | PROT_WRITE);
    if (meter_ != nullptr) count_operators(meter_.get());
  }
  void close() override {
    if (--depth_ > 0) return;
    protect(PROT_NONE);
    if (meter_ != nullptr) count_operators(nullptr);
  }

 private:
  static constexpr std::size_t range_bytes = std::size_t{1} << 36, grain = 64, page = 4096;
  void protect(int access) {
    KAIRO_ASSERT(end_ == 0 || ::mprotect(base_, end_, access) == 0, "the range is ours");
  }
  std::shared_ptr<MemoryMeter> meter_;
  char* base_ = nullptr;
  std::size_t end_ = 0;  // of all that was ever taken
  int depth_ = 0;
  std::map<std::size_t, std::size_t> free_, taken_;  // begin -> bytes
};
}  // namespace

std::shared_ptr<DeviceMemory> memory_of(const std::string& device,
                                        std::shared_ptr<MemoryMeter> meter) {
  const c10::Device of(device);
  if (of.is_cpu()) return std::make_shared<GuardedMemory>(std::move(meter));
  return std::make_shared<TensorMemory>(of);
}
}  // namespace kairo::gpu
