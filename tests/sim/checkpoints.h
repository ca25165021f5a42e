// tests/sim/checkpoints.h - checkpoints in a registry, as a node's pusher and its agent see them.
#pragma once
#include <map>
#include <string>

#include "agents/node/checkpoints.h"
#include "agents/pusher/checkpoints.h"
#include "tests/sim/models.h"

namespace kairo::sim {
// Of the registry: outlives every node.
struct CheckpointShelf {
  struct Kept {
    std::string key;  // uid/revision
    unsigned step = 0;
  };
  std::map<std::string, Kept> kept;  // by image
};
// What an agent knew of it dies with its process.
class CheckpointsModel final : public pusher::Checkpoints, public node::Checkpoints {
 public:
  CheckpointsModel(CheckpointShelf& shelf, DiskModel& disk, Dice& dice)
      : shelf_(shelf), disk_(disk), dice_(dice) {}
  Result<pusher::PushedCheckpoint> push(const pusher::CheckpointJob& job) override;
  void stop(const std::string& uid) override { late_.erase(uid); }
  Status remove(const pusher::CheckpointJob& job) override;
  Result<std::string> bring(const node::CheckpointWish& wish) override;

 private:
  CheckpointShelf& shelf_;
  DiskModel& disk_;
  Dice& dice_;
  std::map<std::string, std::uint64_t> late_;  // by uid: how often it is asked in vain
};
}  // namespace kairo::sim
