// gpu/engine/cgroup.h - what the control groups of this process leave it, version 1 and 2.
#pragma once
#include <cstdint>
#include <string>

namespace kairo::gpu {
struct CgroupLimits {
  std::int64_t free_bytes = -1;  // of the tightest group on the way up; -1: no limit
  double cores = 0;              // 0: no limit
};
// self: what /proc/self/cgroup says; mounts: /sys/fs/cgroup. A group's own path is looked for below
// each mount, and from there up; where it is not visible (a container's view), the mount itself is
// the group. Memory that only caches files which were read once counts as free.
CgroupLimits cgroup_limits(const std::string& self, const std::string& mounts);
}  // namespace kairo::gpu
