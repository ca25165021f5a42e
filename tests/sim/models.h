// tests/sim/models.h - the world outside the cluster: a node's disk and a registry.
#pragma once
#include <functional>
#include <map>
#include <set>
#include <string>

#include "agents/node/adapter_steps.h"
#include "agents/node/models.h"
#include "agents/node/run_dirs.h"
#include "agents/pusher/uploader.h"
#include "agents/runtime/agent.h"
#include "tests/sim/dice.h"

namespace kairo::sim {
class DiskModel final : public node::RunDirs {
 public:
  explicit DiskModel(Dice& dice) : dice_(dice) {}
  static std::string key_of(const node::RunKey& run) { return run.uid + "/" + run.revision; }
  Result<std::string> prepare(const node::RunKey& run) override;
  std::string volume(const node::RunKey& run) override { return "/runs/" + run.ns; }
  Status remove(const std::string& ns, const std::string& uid) override;
  Result<node::Adapter> adapter(const node::RunKey& run) override;
  Result<std::vector<node::RunKey>> list() override;
  std::string progress_file(const node::RunKey&) override { return {}; }
  void wipe();

  std::map<std::string, node::RunKey> dirs;     // by uid/revision
  std::map<std::string, node::RunKey> current;  // by uid
  std::map<std::string, std::string> adapters;  // uid/revision -> what it was trained from
  std::map<std::string, unsigned> steps;        // uid/revision -> the last checkpoint
  std::map<std::string, unsigned> attempts;     // uid/revision -> processes that have begun
  // Of a server's run, by uid/revision: what it is to load, what was said of it, what it has.
  std::map<std::string, wire::CommandT> wanted;
  std::map<std::string, wire::ServingT> told;
  std::map<std::string, std::vector<node::ServedName>> loaded;

 private:
  Dice& dice_;
};

// A node's source of weights: at times they are on their way for a while, or refused. What an
// agent knew of it dies with its process.
class WeightsModel final : public node::Models {
 public:
  WeightsModel(Dice& dice, std::function<void(wire::FactT)> observe, std::string self)
      : dice_(dice), observe_(std::move(observe)), self_(std::move(self)) {}
  Status want(const node::Wish& wish) override;
  void forget(const std::string& uid) override;

 private:
  Dice& dice_;
  const std::function<void(wire::FactT)> observe_;
  const std::string self_;
  std::map<std::string, std::uint64_t> late_;  // uid/revision -> how often it is asked in vain
};

// The machines that are nodes of the cluster, or were.
struct Machines {
  explicit Machines(Dice& dice) : dice_(dice) {}
  DiskModel& disk(const std::string& node) { return disks.try_emplace(node, dice_).first->second; }
  bool is_lost(const std::string& node) const { return lost.contains(node); }
  std::map<std::string, DiskModel> disks;  // by node
  std::set<std::string> lost;              // not there now: nothing runs, nothing can be read
  unsigned losses = 0;
  std::set<std::string> ill;  // their GPUs compute nothing
  unsigned illnesses = 0;
  bool hung = false;  // no training makes a step, wherever it runs

 private:
  Dice& dice_;
};

class RegistryModel final : public pusher::Uploader {
 public:
  explicit RegistryModel(Dice& dice) : dice_(dice) {}
  // What a directory holds; without it, its own name.
  std::function<std::string(const std::string& directory)> content_of;
  Result<pusher::PushResult> push(
      const pusher::PushRequest& request,
      const std::function<void(std::uint64_t, std::uint64_t)>& progress) override;
  static std::string digest_of(const std::string& content) { return "sha256:" + content; }

  std::map<std::string, std::string> images;  // reference -> content
  std::map<std::string, unsigned> pushes;     // reference + " " + content -> times written
  std::set<std::string> blobs;                // contents that are there

 private:
  Dice& dice_;
};
}  // namespace kairo::sim
