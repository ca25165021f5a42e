// gpu/engine/machine.cpp - /proc, control groups and the affinity mask.
#include "gpu/engine/machine.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "gpu/engine/cgroup.h"

namespace kairo::gpu {
namespace {
// "Key:   123 kB" -> bytes; -1: absent.
std::int64_t kib_field(const char* file, const std::string& key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    if (line.rfind(key, 0) == 0) {
      std::istringstream rest(line.substr(key.size()));
      std::int64_t kib = 0;
      if (rest >> kib) return kib * 1024;
    }
  return -1;
}
CgroupLimits own_limits() {
  std::ifstream in("/proc/self/cgroup");
  std::ostringstream self;
  self << in.rdbuf();
  return cgroup_limits(self.str(), "/sys/fs/cgroup");
}
}  // namespace

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int cores = ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  const double limit = own_limits().cores;
  if (limit > 0) cores = std::min(cores, static_cast<int>(std::ceil(limit)));
  return std::max(cores, 1);
}

std::int64_t available_bytes() {
  std::int64_t bytes = kib_field("/proc/meminfo", "MemAvailable:");
  const std::int64_t free = own_limits().free_bytes;
  if (free >= 0) bytes = bytes < 0 ? free : std::min(bytes, free);
  return std::max<std::int64_t>(bytes, 0);
}

std::int64_t resident_bytes() {
  return std::max<std::int64_t>(kib_field("/proc/self/status", "VmRSS:"), 0);
}

std::int64_t peak_resident_bytes() {
  rusage usage{};
  return ::getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss * 1024 : 0;
}

void restart_with_short_spins(char** argv) {
  for (const char* theirs : {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"})
    if (std::getenv(theirs) != nullptr) return;  // the user's choice, or the second start
  if (::setenv("GOMP_SPINCOUNT", "1000", 1) == 0) ::execv("/proc/self/exe", argv);
  // Without /proc it goes on as it is: slower beside others, not wrong.
}
}  // namespace kairo::gpu
