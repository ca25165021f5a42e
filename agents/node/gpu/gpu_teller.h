// agents/node/gpu/gpu_teller.h - what the node agent says of its GPUs, on its Node and as metrics.
#pragma once
#include <mutex>
#include <string>
#include <vector>

#include "agents/cluster/cluster.h"
#include "agents/node/gpu/gpu_watch.h"
#include "agents/node/gpu/gpus_note.h"

namespace kairo::node {
class GpuTeller {
 public:
  // self: the Node that this is.
  GpuTeller(GpuWatchSettings settings, cluster::Cluster& cluster, std::string self);
  // Writes it on the Node where that does not show it. One thread.
  void tell(const wire::NodeT& node, std::int64_t now_ms);
  std::string metrics();  // any thread
  // Of the GPU with this uuid, in percent, as it was read last; nullopt: it was not, lately.
  std::optional<std::uint64_t> utilization(const std::string& uuid) const;

 private:
  std::vector<std::string> troubles_of(const GpuBoard& board);
  const Xids xids_;
  GpuWatch watch_;
  cluster::Cluster& cluster_;
  const std::string self_;
  std::mutex mutex_;  // of what was told
  Convalescence told_;
  GpusNote note_;
};
}  // namespace kairo::node
