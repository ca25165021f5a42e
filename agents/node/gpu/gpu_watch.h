// agents/node/gpu/gpu_watch.h - looks at all GPUs each second. A call of the driver's may never
// come back, so each GPU has a thread of its own, which nobody waits for: what it hangs in is told,
// and all others go on.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "agents/node/gpu/gpus.h"
#include "agents/node/gpu/health.h"
#include "agents/node/gpu/xids.h"
#include "schemas/base/clock.h"

namespace kairo::node {
struct GpuWatchSettings {
  OpenGpus open;
  const Clock* clock = nullptr;                // lives as long as the process
  Xids xids = known_xids();
  std::function<unsigned()> count = nullptr;   // of the NVIDIA GPUs on the bus; null = not known
  std::string kernel_log;                      // /dev/kmsg, or a log file; "" = none
  std::int64_t period_ms = 1'000;
  std::int64_t retry_ms = 30'000, retry_ms_max = 300'000;  // where there is no driver
  std::int64_t reopen_ms = 1'000;                          // where it was exchanged
};
class GpuWatch {
 public:
  explicit GpuWatch(GpuWatchSettings settings);
  GpuWatch(const GpuWatch&) = delete;
  GpuWatch& operator=(const GpuWatch&) = delete;
  ~GpuWatch();  // lets go of the driver, and does not wait for calls that hang
  GpuBoard board() const;  // any thread; never waits for the driver

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};
// GPUs of NVIDIA's under a folder like /sys/bus/pci/devices.
unsigned gpus_on_bus(const std::string& folder = "/sys/bus/pci/devices");
}  // namespace kairo::node
