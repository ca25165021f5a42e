// gpu/engine/cgroup.cpp
#include "gpu/engine/cgroup.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string_view>
#include <vector>

namespace kairo::gpu {
namespace {
constexpr std::int64_t no_limit = std::int64_t{1} << 60;  // version 1 says it with a huge number

// A file's first number; -1: no such file, or a word ("max").
std::int64_t number_in(const std::string& file) {
  std::ifstream in(file);
  std::int64_t value = 0;
  return in >> value ? value : -1;
}
// The number behind a key of memory.stat; 0: absent.
std::int64_t field_in(const std::string& file, const std::string& key) {
  std::ifstream in(file);
  std::string name;
  for (std::int64_t value = 0; in >> name >> value;)
    if (name == key) return value;
  return 0;
}
void limit_memory(CgroupLimits& out, std::int64_t limit, std::int64_t used, std::int64_t cache) {
  if (limit < 0 || limit >= no_limit || used < 0) return;
  const std::int64_t free =
      std::max<std::int64_t>(limit - std::max<std::int64_t>(used - cache, 0), 0);
  out.free_bytes = out.free_bytes < 0 ? free : std::min(out.free_bytes, free);
}
void limit_cores(CgroupLimits& out, double quota, double period) {
  if (quota <= 0 || period <= 0) return;
  const double cores = quota / period;
  out.cores = out.cores == 0 ? cores : std::min(out.cores, cores);
}
// One folder, whichever controllers it shows.
void take(CgroupLimits& out, const std::string& dir) {
  limit_memory(out, number_in(dir + "/memory.max"), number_in(dir + "/memory.current"),
               field_in(dir + "/memory.stat", "inactive_file"));
  limit_memory(out, number_in(dir + "/memory.limit_in_bytes"),
               number_in(dir + "/memory.usage_in_bytes"),
               field_in(dir + "/memory.stat", "total_inactive_file"));
  double quota = 0, period = 0;
  std::ifstream both(dir + "/cpu.max");
  if (both >> quota >> period) limit_cores(out, quota, period);
  limit_cores(out, static_cast<double>(number_in(dir + "/cpu.cfs_quota_us")),
              static_cast<double>(number_in(dir + "/cpu.cfs_period_us")));
}
}  // namespace

CgroupLimits cgroup_limits(const std::string& self, const std::string& mounts) {
  CgroupLimits out;
  std::istringstream lines(self);
  for (std::string line; std::getline(lines, line);) {  // 4:cpu,cpuacct:/a/b, or 0::/a/b
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::vector<std::string> roots;
    if (controllers.empty()) roots = {mounts, mounts + "/unified"};
    std::istringstream names(controllers);
    for (std::string name; std::getline(names, name, ',');)
      if (name == "memory" || name == "cpu") roots.push_back(mounts + "/" + name);
    for (const auto& root : roots) {
      std::string path = line.substr(second + 1);
      for (;;) {
        while (path.ends_with('/')) path.pop_back();
        take(out, root + path);
        if (path.empty()) break;
        path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
      }
    }
  }
  return out;
}
}  // namespace kairo::gpu
