// tests/sim/models.h - the world outside the agents: Jobs that train, disks, a registry. They keep
// count of what must never happen twice.
#pragma once
#include <map>
#include <set>
#include <string>

#include "agents/cluster/memory_cluster.h"
#include "agents/node/run_dirs.h"
#include "agents/pusher/uploader.h"
#include "tests/sim/faults.h"

namespace kairo::sim {
class DiskModel final : public node::RunDirs {
 public:
  explicit DiskModel(Dice& dice) : dice_(dice) {}
  Result<std::string> prepare(const node::RunKey& run) override;
  Status remove(const std::string& uid) override;
  Result<node::Adapter> adapter(const node::RunKey& run) override;
  Result<std::vector<node::RunKey>> list() override { return std::vector<node::RunKey>(); }
  std::string progress_file(const node::RunKey&) override { return {}; }
  std::map<std::string, std::set<std::string>> dirs;  // uid -> revisions
  std::set<std::string> adapters;                     // uid/revision

 private:
  Dice& dice_;
};

class RegistryModel final : public pusher::Uploader {
 public:
  explicit RegistryModel(Dice& dice) : dice_(dice) {}
  Result<pusher::PushResult> push(
      const pusher::PushRequest& request,
      const std::function<void(std::uint64_t, std::uint64_t)>& progress) override;
  std::map<std::string, std::string> images;  // reference -> directory it was made from
  std::map<std::string, int> uploads;         // directory -> times that bytes were sent

 private:
  Dice& dice_;
};

// The Job controller and kubelet in one: a Job trains for a few rounds, may lose pods, and succeeds
// or fails. Knows which trainings ran, and that no two of one Workspace ran at a time.
class KubeletModel {
 public:
  KubeletModel(cluster::MemoryCluster& cluster, DiskModel& disk, Dice& dice)
      : cluster_(cluster), disk_(disk), dice_(dice) {}
  void step();
  std::map<std::string, int> trainings;  // uid/revision -> finished with success
  std::string wrong;                     // the first invariant that broke; "" = none

 private:
  void train(const std::string& object);
  void status(const std::string& object, int active, int succeeded, int failed, bool finished);
  cluster::MemoryCluster& cluster_;
  DiskModel& disk_;
  Dice& dice_;
  std::map<std::string, int> rounds_;           // Job uid -> rounds trained
  std::map<std::string, std::string> running_;  // Workspace uid -> Job uid
};
}  // namespace kairo::sim
