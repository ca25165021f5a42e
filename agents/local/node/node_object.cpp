// agents/local/node/node_object.cpp - sysconf, NVML, and the Node in JSON.
#include "agents/local/node/node_object.h"

#include <dlfcn.h>
#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>

#include "agents/cluster/json.h"
#include "agents/cluster/kinds.h"
#include "agents/local/local_cluster.h"
#include "agents/local/node/cgroup.h"
#include "schemas/base/clock.h"

namespace kairo::cluster {
namespace {
std::string label_value(std::string text) {  // as GPU feature discovery writes product names
  std::replace_if(
      text.begin(), text.end(),
      [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '-' && c != '.';
      },
      '-');
  return text.substr(0, 63);
}
}  // namespace

// The few calls of NVML's stable C interface that we need, looked up at run time.
std::vector<Gpu> driver_gpus() {
  void* const library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return {};
  struct Memory {
    unsigned long long total, free, used;
  };
  const auto init = reinterpret_cast<int (*)()>(dlsym(library, "nvmlInit_v2"));
  const auto end = reinterpret_cast<int (*)()>(dlsym(library, "nvmlShutdown"));
  const auto count = reinterpret_cast<int (*)(unsigned*)>(dlsym(library, "nvmlDeviceGetCount_v2"));
  const auto handle =
      reinterpret_cast<int (*)(unsigned, void**)>(dlsym(library, "nvmlDeviceGetHandleByIndex_v2"));
  const auto name =
      reinterpret_cast<int (*)(void*, char*, unsigned)>(dlsym(library, "nvmlDeviceGetName"));
  const auto memory =
      reinterpret_cast<int (*)(void*, Memory*)>(dlsym(library, "nvmlDeviceGetMemoryInfo"));
  std::vector<Gpu> out;
  if (init && end && count && handle && name && memory && init() == 0) {
    unsigned n = 0;
    if (count(&n) != 0) n = 0;
    for (unsigned i = 0; i < n; ++i) {
      void* device = nullptr;
      char text[96] = {};
      Memory bytes{};
      if (handle(i, &device) == 0 && name(device, text, sizeof text) == 0 &&
          memory(device, &bytes) == 0)
        out.push_back({text, bytes.total});
    }
    end();
  }
  dlclose(library);
  return out;
}

Machine this_machine() {
  Machine out;
  out.name = local_node;
  cpu_set_t set;
  out.cpus =
      sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN);
  out.memory_bytes = sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
  const Limits ours = own_limits("/sys/fs/cgroup", "/proc/self/cgroup");
  if (ours.cpu_milli > 0) out.cpus = std::clamp<std::int64_t>(ours.cpu_milli / 1000, 1, out.cpus);
  if (ours.memory_bytes > 0) out.memory_bytes = std::min(out.memory_bytes, ours.memory_bytes);
  out.gpus = driver_gpus();
  return out;
}

std::vector<Apply> node_applies(const Machine& machine, std::int64_t now_ms) {
  utsname system{};
  uname(&system);
  const std::string machine_name = system.machine;
  const std::string arch = machine_name == "x86_64"    ? "amd64"
                           : machine_name == "aarch64" ? "arm64"
                                                       : machine_name;
  Json labels = {{"kubernetes.io/hostname", machine.name},
                 {"kubernetes.io/os", "linux"},
                 {"kubernetes.io/arch", arch},
                 {"kairo.dev/local", "true"}};
  Json room = {{"cpu", std::to_string(machine.cpus)},
               {"memory", std::to_string(machine.memory_bytes >> 10) + "Ki"},
               {"pods", "110"}};
  if (!machine.gpus.empty()) {
    room["nvidia.com/gpu"] = std::to_string(machine.gpus.size());
    labels["nvidia.com/gpu.product"] = label_value(machine.gpus[0].product);
    labels["nvidia.com/gpu.memory"] = std::to_string(machine.gpus[0].memory_bytes >> 20);
    labels["nvidia.com/gpu.count"] = std::to_string(machine.gpus.size());
  }
  const Json node = {
      {"apiVersion", "v1"}, {"kind", "Node"}, {"metadata", {{"labels", std::move(labels)}}}};
  const Json status = {
      {"apiVersion", "v1"},
      {"kind", "Node"},
      {"status",
       {{"capacity", room},
        {"allocatable", room},
        {"addresses", Json::array({{{"type", "InternalIP"}, {"address", "127.0.0.1"}},
                                   {{"type", "Hostname"}, {"address", machine.name}}})},
        {"nodeInfo",
         {{"kernelVersion", system.release},
          {"operatingSystem", "linux"},
          {"architecture", arch},
          {"kubeletVersion", "kairo-local"}}},
        {"conditions", Json::array({{{"type", "Ready"},
                                     {"status", "True"},
                                     {"reason", "KubeletReady"},
                                     {"message", "kairo's local mode runs pods on this machine"},
                                     {"lastHeartbeatTime", rfc3339(now_ms)}}})}}}};
  const Ref ref{nodes, "", machine.name};
  return {{ref, node.dump(), "kairo-local-node", ""},
          {ref, status.dump(), "kairo-local-node", "status"}};
}
}  // namespace kairo::cluster
