// gpu/aten/side_copy.h - a device's values on their way to the host beside its other calls.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

#include <map>
#include <memory>

#include "gpu/engine/ops.h"

namespace kairo::gpu {
// Of the host, which a device reads and writes on its own: where it is pinned the host need not
// wait. Where it cannot be, it is ordinary memory.
class PinnedMemory final : public BufferOwner {
 public:
  Buffer take(std::int64_t floats);
  void give_back(void* data) override { blocks_.erase(data); }

 private:
  std::map<void*, at::Tensor> blocks_;
};
// In a stream of its own, after all that was called before. Not of "cpu".
class SideCopy final : public Copying {
 public:
  SideCopy(const at::Tensor& to, const at::Tensor& from);
  void finish_first() override;
  void wait() override;

 private:
  c10::Device device_;
  c10::Event done_;
};
}  // namespace kairo::gpu
