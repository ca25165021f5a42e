// agents/local/node/runner.h - the controllers of local mode: node, scheduler, Jobs,
// StatefulSets, claims, Services, and the kubelet. Private to local/.
//
// Level-triggered over a MemoryCluster: each pass lists what is there, decides (pure functions
// beside this file) and writes the difference. It passes when an object changed, every 50 ms while
// pods run, and when a deadline that it knows of is reached.
#pragma once
#include <atomic>
#include <set>
#include <string>
#include <vector>

#include "agents/local/node/forwarder.h"
#include "agents/local/node/kubelet.h"
#include "agents/local/node/node_object.h"

namespace kairo::cluster {
struct RunnerOptions {
  KubeletOptions kubelet;
  std::int64_t job_backoff_ms;
  bool ends_pods;  // at an orderly stop: SIGTERM to all containers
};
class Runner {  // one thread
 public:
  Runner(MemoryCluster& cluster, const Clock& clock, const RunnerOptions& options);
  void run(const std::atomic<bool>& stop);

 private:
  struct World {  // one pass's view
    std::vector<Json> job_list, set_list, pod_list, service_list;
    Json node;
  };
  void pass();
  std::vector<Json> all(const Kind& kind);
  void tend_node();
  void collect_garbage();
  void tend_workload(const Kind& kind, const Json& object, World& world);
  static void sort_by_turn(World& world);
  void schedule(Json& pod, World& world);
  void tend_service(const Json& service, const World& world, std::set<std::string>& keys);
  void announce(const Kind& kind, const Json& object, const std::string& address);
  void write_status(const Kind& kind, const Json& object, const Json& status);

  MemoryCluster& cluster_;
  const Clock& clock_;
  const RunnerOptions options_;
  EventRecorder recorder_;
  Kubelet kubelet_;
  Forwarder forwarder_;
  const Machine machine_;
  std::int64_t beat_ms_ = 0, look_again_ms_ = 0, collected_ms_ = 0;  // Unix time
  bool has_running_ = false;
};
}  // namespace kairo::cluster
