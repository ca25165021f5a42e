// gpu/engine/checkpoint_writer.cpp - one slot, one thread.
#include "gpu/engine/checkpoint_writer.h"

#include <ctime>
#include <utility>

#include "gpu/engine/device.h"

namespace kairo::gpu {
namespace {
double thread_processor_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}
}  // namespace

CheckpointWriter::CheckpointWriter(WriteCheckpoint write)
    : write_(std::move(write)), thread_([this] { run(); }) {}
CheckpointWriter::~CheckpointWriter() {
  {
    const std::lock_guard lock(mutex_);
    is_ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Status CheckpointWriter::begin(const CheckpointState& state, StateCopyPtr copy,
                               const Parameters& best) {
  TRY(finish());
  state_ = state;
  copy_ = std::move(copy);
  best_ = best;
  {
    const std::lock_guard lock(mutex_);
    is_busy_ = true;
  }
  changed_.notify_all();
  return ok();
}
bool CheckpointWriter::is_busy() const {
  const std::lock_guard lock(mutex_);
  return is_busy_;
}
Status CheckpointWriter::status() const {
  const std::lock_guard lock(mutex_);
  if (error_) return *error_;
  return ok();
}
Status CheckpointWriter::finish() {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !is_busy_; });
  }
  return status();
}
double CheckpointWriter::processor_ms() const {
  const std::lock_guard lock(mutex_);
  return processor_ms_;
}

void CheckpointWriter::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return is_busy_ || is_ending_; });
    if (!is_busy_) return;
    lock.unlock();
    const Status written = caught([&] {
      CheckpointBuffers buffers = copy_->wait();
      if (best_) buffers.best_parameters = *best_;
      return write_(state_, buffers);
    });
    lock.lock();
    processor_ms_ = thread_processor_ms();
    if (!written.ok() && !error_) error_ = written.error();
    is_busy_ = false;
    changed_.notify_all();
  }
}
}  // namespace kairo::gpu
