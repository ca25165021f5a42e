// agents/local/node/kubelet.h - runs the pods of this machine: processes, probes, statuses,
// ends.
//
// Level-triggered: what runs is read from the pods' folders, what should run from the pods; so a
// kubelet that was killed goes on where it was. Folders: <state>/pods/<uid>/volumes/<volume> and
// <state>/pods/<uid>/<container>/<attempt>/ (see process.h). Private to local/.
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agents/cluster/json.h"
#include "agents/local/apiserver/memory_cluster.h"
#include "agents/local/node/event_recorder.h"
#include "agents/local/node/pod_plan.h"
#include "agents/local/node/pod_status.h"
#include "agents/local/node/probe_loop.h"
#include "agents/local/node/process.h"

namespace kairo::cluster {
struct KubeletOptions {
  std::string state_dir, program_dir;
  std::vector<std::string> programs;
  std::int64_t backoff_ms;  // before the first restart of a container; it doubles up to 5 minutes
};
class Kubelet {  // one thread
 public:
  Kubelet(MemoryCluster& cluster, EventRecorder& recorder, const Clock& clock,
          KubeletOptions options);
  void tend(const Json& pod);                         // one that has a node
  void sweep(const std::set<std::string>& pod_uids);  // ends and removes what belongs to no pod

 private:
  struct Place {  // one container of one pod
    const Json& pod;
    const Json& container;
    std::string dir;
    bool is_init;
  };
  ContainerView tend_container(const Place& place, bool may_start);
  void start(const Place& place, int attempt, ContainerView& view);
  Result<ContainerPlan> plan(const Place& place, const std::string& attempt_dir,
                             ContainerView& view);
  void probe(const Place& place, ContainerView& view);
  void note_end(const Place& place, ContainerView& view);
  void end(const Json& pod);
  std::string pod_dir(const Json& pod) const;

  MemoryCluster& cluster_;
  EventRecorder& recorder_;
  const Clock& clock_;
  const KubeletOptions options_;
  const std::vector<std::string> base_env_;
  Processes processes_;
  std::map<std::string, ProbeSet> probes_;  // by attempt folder
};
// A container's log from `offset` on, at most 1 MiB; for MemoryCluster. invalid: no such container.
Result<std::string> read_container_log(const std::string& state_dir, const std::string& pod_json,
                                       const std::string& container, std::uint64_t offset);
// containerPort -> our port, from the annotation that the scheduler wrote.
std::map<int, int> ports_of(const Json& pod);
// A port by number or by the name of a container's port; 0: none such.
int container_port(const Json& pod, const Json& port);
}  // namespace kairo::cluster
