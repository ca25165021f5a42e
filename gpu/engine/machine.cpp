// gpu/engine/machine.cpp - /proc, cgroup v2 and the affinity mask.
#include "gpu/engine/machine.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

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
// A cgroup file with one number; -1: absent or "max".
std::int64_t cgroup_number(const char* name) {
  std::ifstream in(std::string("/sys/fs/cgroup/") + name);
  std::int64_t value = 0;
  return in >> value ? value : -1;
}
}  // namespace

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int cores = ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  std::ifstream in("/sys/fs/cgroup/cpu.max");
  double quota = 0, period = 0;
  if (in >> quota >> period && quota > 0 && period > 0)
    cores = std::min(cores, static_cast<int>((quota + period - 1) / period));
  return std::max(cores, 1);
}

std::int64_t available_bytes() {
  std::int64_t bytes = kib_field("/proc/meminfo", "MemAvailable:");
  const std::int64_t limit = cgroup_number("memory.max"), used = cgroup_number("memory.current");
  if (limit > 0 && used >= 0) bytes = bytes < 0 ? limit - used : std::min(bytes, limit - used);
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
