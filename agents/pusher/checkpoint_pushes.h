// agents/pusher/checkpoint_pushes.h - Checkpoints of run directories on this node, in registries:
// one upload at a time, on a thread of its own that gives way to others.
#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "agents/pusher/checkpoints.h"
#include "agents/transfer/registry_session.h"
#include "state/store.h"

namespace kairo::pusher {
// The step of a run directory's newest checkpoint that is whole; 0 = none.
std::uint32_t newest_checkpoint(const std::string& run_dir);

class CheckpointPushes final : public Checkpoints {  // thread-safe
 public:
  CheckpointPushes(state::Store& store, transfer::RegistryOptions options)
      : store_(store), options_(std::move(options)) {}
  Result<PushedCheckpoint> push(const CheckpointJob& job) override;
  void stop(const std::string& uid) override;
  Status remove(const CheckpointJob& job) override;
  // Pushes one that waits, to its end; false: none does. One thread.
  bool step();
  void stop_all();  // for good

 private:
  struct Push {
    CheckpointJob job;
    std::string docker_config;
    std::atomic<bool> stop{false};
    bool is_running = false;
    std::optional<Result<PushedCheckpoint>> result;  // until it is asked for
  };
  Result<PushedCheckpoint> perform(Push& push);
  transfer::RegistryOptions options_of(const Push& push) const;

  state::Store& store_;
  const transfer::RegistryOptions options_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Push>> pushes_;  // by uid
  bool is_stopped_ = false;
};
}  // namespace kairo::pusher
