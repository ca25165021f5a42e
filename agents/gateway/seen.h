// agents/gateway/seen.h - the Workspaces of one namespace as the cluster has them now, by list and
// watch; and the steps of trainings, which no object keeps all of.
#pragma once
#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "agents/cluster/cluster.h"
#include "agents/gateway/chat_route.h"
#include "agents/gateway/job_view.h"

namespace kairo::gateway {
class Seen {  // thread-safe
 public:
  // runs: the folder of run directories, where this process can read them; "" = it cannot. steps: a
  // folder where what statuses tell of steps is kept.
  Seen(cluster::Cluster& cluster, std::string ns, std::string runs, std::string steps);
  void follow(const std::atomic<bool>& stop);  // until then; a thread of its own
  bool has_listed() const;
  std::shared_ptr<const Workspaces> now() const;
  // Waits until another state was seen than `before`, wait_ms at the longest.
  std::shared_ptr<const Workspaces> after(const std::shared_ptr<const Workspaces>& before,
                                          std::int64_t wait_ms) const;
  // Of a job's training: what its run directory says where that can be read, else what its status
  // has said while the gateway looked.
  std::vector<Point> points(const Json& workspace) const;

 private:
  void put(Workspaces workspaces);
  void note_step(const Json& workspace) const;
  cluster::Cluster& cluster_;
  const std::string ns_, runs_, steps_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::shared_ptr<const Workspaces> now_ = std::make_shared<const Workspaces>();
  bool has_listed_ = false;
};
}  // namespace kairo::gateway
