// agents/local/node/cgroup.h - memory and CPU limits of a container, where the system lets us.
// Control groups v1 and v2, below our own group. Private to local/.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::cluster {
struct Limits {
  std::int64_t memory_bytes = 0, cpu_milli = 0;  // 0: none
};
// What our own group, or one that it lies in, allows us: the least of each. `root`: /sys/fs/cgroup;
// `self`: /proc/self/cgroup.
Limits own_limits(const std::string& root, const std::string& self);
// Makes the groups of `name`; the answer is the cgroup.procs files that the process must join.
// unavailable: not allowed here, with the reason; then nothing is limited.
Result<std::vector<std::string>> make_cgroups(const std::string& name, const Limits& limits);
bool was_out_of_memory(const std::string& name);  // the kernel killed something for its limit
void remove_cgroups(const std::string& name);     // once nothing runs in it
}  // namespace kairo::cluster
