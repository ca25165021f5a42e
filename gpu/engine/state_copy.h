// gpu/engine/state_copy.h - a copy of the trained state, perhaps still on its way to the host.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "gpu/engine/ops.h"
#include "gpu/formats/checkpoint.h"

namespace kairo::gpu {
class StateCopy {
 public:
  virtual ~StateCopy() = default;
  // Once all of it is there. Any one thread; DeviceFailure. Valid until the engine's next copy.
  virtual CheckpointBuffers wait() = 0;
};
using StateCopyPtr = std::shared_ptr<StateCopy>;
// Of what lies on the host: it is there.
StateCopyPtr copy_of(const CheckpointBuffers& state);

// Of what lies on a device: parameters and moments, flat. Its memory is taken once.
class StateOnHost final : public StateCopy {
 public:
  StateOnHost(Ops& ops, std::int64_t parameters);
  using Parts = std::array<Mat, 3>;
  void begin(Ops& ops, const Parts& parts);  // nobody reads the copy before
  // Before the first call that writes what is copied.
  void finish_first();
  CheckpointBuffers wait() override;

 private:
  std::array<Buffer, 3> host_;
  std::array<std::unique_ptr<Copying>, 3> copying_;
};
}  // namespace kairo::gpu
