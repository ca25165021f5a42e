// tests/support/fake_gpus.h - GPUs in memory: what they say is set by the test.
#pragma once
#include <mutex>

#include "agents/node/gpu/gpus.h"

namespace kairo::test {
class FakeGpus final : public node::Gpus {
 public:
  explicit FakeGpus(node::Inventory inventory) : inventory_(std::move(inventory)) {}
  const node::Inventory& inventory() const override { return inventory_; }
  node::GpuAnswer<node::Reading> read(const node::Gpu&) override {
    const std::lock_guard lock(mutex_);
    return answer_;
  }
  node::GpuAnswer<std::vector<node::Xid>> next_errors(int) override {
    return {{}, {node::GpuCode::absent, "none"}};
  }
  void say(node::GpuAnswer<node::Reading> answer) {
    const std::lock_guard lock(mutex_);
    answer_ = std::move(answer);
  }

 private:
  const node::Inventory inventory_;
  std::mutex mutex_;
  node::GpuAnswer<node::Reading> answer_{node::Reading(), {}};
};
}  // namespace kairo::test
