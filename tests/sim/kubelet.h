// tests/sim/kubelet.h - the Job and StatefulSet controllers, the kubelet and the trainer in one.
//
// A pod takes its time to start and to end; a training writes checkpoints, loses pods, resumes. It
// watches over what must never happen on a node; what breaks first is kept in `wrong`.
#pragma once
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "agents/local/apiserver/memory_cluster.h"
#include "tests/sim/models.h"

namespace kairo::sim {
class KubeletModel {
  enum class Stage { pending, running };
  struct Pod {
    std::string name, owner, workspace, key, revision, urls;  // owner: the Job's or set's uid
    std::string node;
    bool is_server = false, was_shown = false, was_bound = false;
    Stage stage = Stage::pending;
  };
  struct JobState {
    unsigned succeeded = 0, failed = 0;
    bool gave_up = false;
    nlohmann::json shown;
  };

 public:
  struct Memory {
    std::map<std::string, Pod> pods;                // by name
    std::map<std::string, JobState> jobs;           // by uid
    std::map<std::string, nlohmann::json> servers;  // uid -> the status that was shown
  };
  KubeletModel(cluster::MemoryCluster& cluster, Machines& machines, Dice& dice)
      : cluster_(cluster), machines_(machines), dice_(dice) {}
  void lose(const std::string& node);  // all that ran there has ended
  bool step();                         // true: something has changed, or is on its way
  // On each of so many nodes, of this revision.
  bool serves(const std::string& name, const std::string& revision, std::size_t nodes = 1) const;
  bool runs(const std::string& node, const std::string& key) const;  // a server, uid/revision
  const Memory& memory() const { return memory_; }
  // As the API server is put back: what it says of pods is what there is.
  void put_back(const Memory& memory);

  std::map<std::string, unsigned> trained;  // node/uid/revision -> trainings to their end
  std::map<std::string, unsigned> begun;    // uid/revision -> the step that its last pod began at
  std::set<std::string> failed;             // uid/revision whose Job gave up
  std::string wrong;                        // the first invariant that broke; "" = none

 private:
  using Json = nlohmann::json;
  void control_job(const Json& job);
  void control_server(const Json& set);
  void control_ordinal(const Json& set, std::size_t ordinal, const std::string& node);
  void start(const Json& owner, const std::string& pod_name, const std::string& node,
             bool is_server);
  bool run(Pod& pod);  // false: it has ended
  bool train(Pod& pod);
  void end(const Pod& pod, const char* phase, int exit_code, const char* reason);
  void show(const Pod& pod, Json status);
  void say(const std::string& what);
  bool has_pod(const std::string& owner, bool running) const;

  cluster::MemoryCluster& cluster_;
  Machines& machines_;
  Dice& dice_;
  Memory memory_;
  unsigned put_back_ = 0;
  std::uint64_t made_ = 0, version_ = 0;
  bool is_late_ = false;  // a controller that will start a pod, later
};
}  // namespace kairo::sim
