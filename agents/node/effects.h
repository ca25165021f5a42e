// agents/node/effects.h - what the node agent does on its node, and what it sees there.
#pragma once
#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "agents/cluster/cluster.h"
#include "agents/node/adapters.h"
#include "agents/node/checkpoints.h"
#include "agents/node/models.h"
#include "agents/node/run_dirs.h"
#include "agents/node/stall.h"
#include "agents/node/training_metrics.h"
#include "agents/runtime/agent.h"
#include "schemas/base/clock.h"

namespace kairo::node {
using Observe = std::function<void(wire::FactT)>;  // thread-safe; the runtime publishes it

class NodeEffects final : public runtime::Effects {
 public:
  // self: the node that this is. models: who fetches weights; null: they are put here by hand.
  // checkpoints: null: none are brought here. adapters: null: none come while a server runs.
  NodeEffects(RunDirs& dirs, cluster::Cluster& cluster, Observe observe, std::string self,
              Models* models = nullptr, Checkpoints* checkpoints = nullptr,
              Adapters* adapters = nullptr)
      : dirs_(dirs),
        cluster_(cluster),
        observe_(std::move(observe)),
        self_(std::move(self)),
        models_(models),
        checkpoints_(checkpoints),
        adapters_(adapters) {}
  Status perform(const wire::CommandT& command) override;

 private:
  Status prepare(const wire::CommandT& command, const wire::PrepareRunT& body);
  Status remove(const wire::CommandT& command, const wire::RunT& run);
  Status check(const wire::CommandT& command, const wire::CheckArtifactT& check);
  Status serve_adapters(const wire::CommandT& command, const wire::ServeAdaptersT& wish);
  Status check_unused(const wire::CommandT& command);
  RunDirs& dirs_;
  cluster::Cluster& cluster_;
  const Observe observe_;
  const std::string self_;
  Models* const models_;
  Checkpoints* const checkpoints_;
  Adapters* const adapters_;
};

// How much the GPU of this uuid is used, in percent; nullopt: not known.
using Utilization = std::function<std::optional<std::uint64_t>(const std::string& gpu)>;
// The last word about each training, as the agent's store has it; nullopt: it is not read yet.
using LastWords = std::function<std::optional<std::vector<wire::FactT>>()>;

// Reads every run's progress.jsonl and observes what is new, and what has been silent for too long.
// One thread, but for metrics().
class ProgressSensor {
 public:
  // utilization: null where no GPU is seen; nothing is taken for hung then. last_words: how often
  // a run has hung outlives this process; null: it does not.
  ProgressSensor(RunDirs& dirs, Observe observe, std::string self, const Clock& clock,
                 Utilization utilization = nullptr, LastWords last_words = nullptr)
      : dirs_(dirs),
        observe_(std::move(observe)),
        self_(std::move(self)),
        clock_(clock),
        utilization_(std::move(utilization)),
        last_words_(std::move(last_words)) {}
  void look();                  // call it a few times a second
  std::string metrics() const;  // of what it saw last (training_metrics.h)

 private:
  RunDirs& dirs_;
  const Observe observe_;
  const std::string self_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::vector<TrainingSeen> seen_;  // under mutex_
  const Utilization utilization_;
  const LastWords last_words_;
  struct Told {
    std::string stamp;  // of the file when it was read
    wire::ProgressT progress;
    StallWatch stall;
  };
  void tell(const RunKey& run, const Told& told);
  std::map<std::string, Told> told_;  // by progress file
};
}  // namespace kairo::node
