// agents/local/node/cgroup.cpp - files below /sys/fs/cgroup.
#include "agents/local/node/cgroup.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <sstream>

namespace kairo::cluster {
namespace {
const std::string system_root = "/sys/fs/cgroup", system_self = "/proc/self/cgroup";
constexpr std::int64_t period_us = 100'000;

bool is_v2(const std::string& root = system_root) {
  return access((root + "/cgroup.controllers").c_str(), F_OK) == 0;
}
// Our own group's folder in a v1 hierarchy ("memory"), or in v2 ("").
std::string own_group(const std::string& controller, const std::string& root = system_root,
                      const std::string& self = system_self) {
  std::ifstream file(self);
  for (std::string line; std::getline(file, line);) {
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    std::istringstream names(line.substr(first + 1, second - first - 1));
    std::string name;
    bool is_it = controller.empty() && second == first + 1;
    while (std::getline(names, name, ',')) is_it = is_it || name == controller;
    if (!is_it) continue;
    const std::string base = controller.empty() ? root : root + "/" + controller;
    const std::string path = base + line.substr(second + 1);
    // In a container the path may be the host's, and its folder our root.
    return access(path.c_str(), F_OK) == 0 ? path : base;
  }
  return "";
}
std::string group_of(const std::string& controller, const std::string& name) {
  const std::string own = own_group(controller);
  if (own.empty()) return "";
  return own + (own.ends_with("/") ? "" : "/") + "kairo-" + name;
}
Status write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text << std::flush;
  if (!file) return Error{Code::unavailable, path + ": " + std::strerror(errno)};
  return ok();
}
Status make_group(const std::string& path) {
  if (path.empty()) return Error{Code::unavailable, "no control group of ours"};
  if (mkdir(path.c_str(), 0755) != 0 && errno != EEXIST)
    return Error{Code::unavailable, path + ": " + std::strerror(errno)};
  return ok();
}
std::int64_t number_in(const std::string& file) {  // -1: none, "max" too
  std::int64_t out = -1;
  std::ifstream in(file);
  return in >> out ? out : -1;
}
// `read` of a group and all those around it; the least that is positive, 0: none is.
std::int64_t least(std::string group, const std::string& root,
                   const std::function<std::int64_t(const std::string& group)>& read) {
  std::int64_t out = 0;
  while (group.size() >= root.size()) {
    const std::int64_t here = read(group);
    if (here > 0 && (out == 0 || here < out)) out = here;
    group.erase(std::min(group.rfind('/'), group.size()));
  }
  return out;
}
Result<std::vector<std::string>> make_v2(const std::string& name, const Limits& limits) {
  const std::string path = group_of("", name);
  TRY(make_group(path));
  if (limits.memory_bytes > 0) {
    TRY(write_file(path + "/memory.max", std::to_string(limits.memory_bytes)));
    TRY(write_file(path + "/memory.oom.group", "1"));
  }
  if (limits.cpu_milli > 0)
    TRY(write_file(path + "/cpu.max", std::to_string(limits.cpu_milli * period_us / 1000) + " " +
                                          std::to_string(period_us)));
  return std::vector<std::string>{path + "/cgroup.procs"};
}
Result<std::vector<std::string>> make_v1(const std::string& name, const Limits& limits) {
  std::vector<std::string> out;
  if (limits.memory_bytes > 0) {
    const std::string path = group_of("memory", name);
    TRY(make_group(path));
    TRY(write_file(path + "/memory.limit_in_bytes", std::to_string(limits.memory_bytes)));
    out.push_back(path + "/cgroup.procs");
  }
  if (limits.cpu_milli > 0) {
    const std::string path = group_of("cpu", name);
    TRY(make_group(path));
    TRY(write_file(path + "/cpu.cfs_period_us", std::to_string(period_us)));
    TRY(write_file(path + "/cpu.cfs_quota_us",
                   std::to_string(limits.cpu_milli * period_us / 1000)));
    out.push_back(path + "/cgroup.procs");
  }
  return out;
}
}  // namespace

Result<std::vector<std::string>> make_cgroups(const std::string& name, const Limits& limits) {
  if (limits.memory_bytes == 0 && limits.cpu_milli == 0) return std::vector<std::string>{};
  auto made = is_v2() ? make_v2(name, limits) : make_v1(name, limits);
  if (!made.ok()) remove_cgroups(name);
  return made;
}

Limits own_limits(const std::string& root, const std::string& self) {
  const bool v2 = is_v2(root);
  const char* memory_file = v2 ? "/memory.max" : "/memory.limit_in_bytes";
  const auto memory = [&](const std::string& group) { return number_in(group + memory_file); };
  const auto cpu = [&](const std::string& group) -> std::int64_t {
    std::int64_t quota = -1, period = 0;
    if (v2) {
      std::ifstream(group + "/cpu.max") >> quota >> period;
    } else {
      quota = number_in(group + "/cpu.cfs_quota_us");
      period = number_in(group + "/cpu.cfs_period_us");
    }
    return quota > 0 && period > 0 ? std::max<std::int64_t>(quota * 1000 / period, 1) : -1;
  };
  return {least(own_group(v2 ? "" : "memory", root, self), root, memory),
          least(own_group(v2 ? "" : "cpu", root, self), root, cpu)};
}

bool was_out_of_memory(const std::string& name) {
  const std::string path = is_v2() ? group_of("", name) + "/memory.events"
                                   : group_of("memory", name) + "/memory.oom_control";
  std::ifstream file(path);
  std::string key;
  for (std::int64_t count = 0; file >> key >> count;)
    if (key == "oom_kill" && count > 0) return true;
  return false;
}

void remove_cgroups(const std::string& name) {
  if (is_v2()) {
    rmdir(group_of("", name).c_str());
    return;
  }
  for (const char* controller : {"memory", "cpu"}) rmdir(group_of(controller, name).c_str());
}
}  // namespace kairo::cluster
