// gpu/aten/side_copy.cpp - streams and events by libtorch's device-neutral interface, so that
// nothing of CUDA is linked.
#include "gpu/aten/side_copy.h"

#include <ATen/ops/empty.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "gpu/engine/device.h"

namespace kairo::gpu {
namespace {
c10::Event event_of(const c10::Device& device) {
  return c10::Event(device.type());
}
}  // namespace

Buffer PinnedMemory::take(std::int64_t floats) {
  try {
    const at::Tensor block = at::empty({4 * std::max<std::int64_t>(floats, 1)},
                                       at::TensorOptions(at::kByte).pinned_memory(true));
    blocks_.emplace(block.data_ptr(), block);
    return {block.data_ptr(), floats, *this};
  } catch (const c10::Error&) {
    return Buffer(floats);
  }
}

SideCopy::SideCopy(const at::Tensor& to, const at::Tensor& from)
    : device_(from.device()), done_(event_of(from.device())) {
  const c10::impl::VirtualGuardImpl of_device(device_.type());
  const c10::Stream side = of_device.getStreamFromGlobalPool(device_);
  c10::Event ready = event_of(device_);
  ready.record(of_device.getStream(device_));
  ready.block(side);
  const c10::StreamGuard on_side(side);
  to.copy_(from, true);
  done_.record(side);
}
void SideCopy::finish_first() {
  done_.block(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
}
// What the device says when it is broken.
void SideCopy::wait() {
  try {
    done_.synchronize();
  } catch (const c10::Error& e) {
    throw DeviceFailure(
        false, "the device failed: copy to the host: " + std::string(e.what_without_backtrace()));
  }
}
}  // namespace kairo::gpu
