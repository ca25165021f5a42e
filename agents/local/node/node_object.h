// agents/local/node/node_object.h - this machine as a Node. Private to local/.
#pragma once
#include <string>
#include <vector>

#include "agents/cluster/cluster.h"

namespace kairo::cluster {
struct Gpu {
  std::string product;  // "NVIDIA H100 80GB HBM3"
  std::uint64_t memory_bytes = 0;
};
struct Machine {
  std::string name;  // of the Node
  std::int64_t cpus = 0, memory_bytes = 0;
  std::vector<Gpu> gpus;
};
// What we may use of it: fewer processors and less memory where our control group says so. GPUs
// through the driver's NVML; none without a driver.
Machine this_machine();
std::vector<Gpu> driver_gpus();
// Two applies: the Node and its status (capacity, Ready).
std::vector<Apply> node_applies(const Machine& machine, std::int64_t now_ms);
}  // namespace kairo::cluster
