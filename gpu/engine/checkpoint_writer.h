// gpu/engine/checkpoint_writer.h - checkpoints beside the training: a copy of the state is waited
// for, hashed, written and synced on a thread of its own.
#pragma once
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "gpu/engine/state_copy.h"
#include "gpu/formats/checkpoint.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
using Parameters = std::shared_ptr<const std::vector<float>>;
// Called on the writer's thread, one call at a time.
using WriteCheckpoint = std::function<Status(const CheckpointState&, const CheckpointBuffers&)>;
class CheckpointWriter {  // one caller
 public:
  explicit CheckpointWriter(WriteCheckpoint write);
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;
  ~CheckpointWriter();  // awaits the write in flight
  // Awaits a write in flight; then writes the copy, which is nobody else's until that has ended.
  // best: the parameters to keep beside it, or null. The first error of any write before: that, and
  // nothing is begun.
  Status begin(const CheckpointState& state, StateCopyPtr copy, const Parameters& best);
  bool is_busy() const;
  Status status() const;        // of the writes that have ended: the first error
  Status finish();              // the same, once nothing is in flight
  double processor_ms() const;  // that all writes have taken; little of it is waiting for a disk

 private:
  void run();
  const WriteCheckpoint write_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool is_busy_ = false, is_ending_ = false;  // these three: under mutex_
  std::optional<Error> error_;
  double processor_ms_ = 0;
  CheckpointState state_;  // the writer's while it is busy, as what follows
  StateCopyPtr copy_;
  Parameters best_;
  std::thread thread_;  // last: it uses all of the above
};
}  // namespace kairo::gpu
