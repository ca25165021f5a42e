// gpu/aten/memory_meter.h - a test's device of a stated size: counts what buffers and operators
// take of it, and refuses what is more.
#pragma once
#include <cstdint>

namespace kairo::gpu {
class MemoryMeter {  // outlives what was taken; operators of one device run on one thread
 public:
  explicit MemoryMeter(std::int64_t limit = 0) : limit_(limit) {}  // 0: none
  std::int64_t now() const { return now_; }
  std::int64_t peak() const { return peak_; }
  void start_peak() { peak_ = now_; }
  void set_limit(std::int64_t bytes) { limit_ = bytes; }
  void take(std::int64_t bytes);  // c10::OutOfMemoryError: it would be more than the limit
  void give_back(std::int64_t bytes) { now_ -= bytes; }

 private:
  std::int64_t limit_, now_ = 0, peak_ = 0;
};
// Whose what libtorch's operators on the CPU take from now on is; null: nobody's. Returns the one
// before.
MemoryMeter* count_operators(MemoryMeter* meter);
}  // namespace kairo::gpu
