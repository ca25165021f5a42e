// agents/node/gpu/gpus.h - the port to the GPUs of this machine: what they are, what they measure,
// what befalls them. nvml.h is NVIDIA's, tests have one of their own.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::node {
constexpr std::size_t gpus_max = 64;  // of one machine that are looked at

struct Gpu {
  unsigned index = 0;  // not stable: whoever remembers a GPU keeps its uuid
  unsigned minor = 0;  // of /dev/nvidia<minor>
  std::string uuid;    // "GPU-..."
  std::string pci;     // "00000000:1B:00.0"
  std::string name;    // "NVIDIA H200"
  int major_capability = 0, minor_capability = 0;  // 0.0 = it does not say
  std::uint64_t memory_bytes = 0;
  bool mig = false;  // it is cut into MIG instances
  bool operator==(const Gpu&) const = default;
};

enum class Measure : std::uint8_t {
  sm_clock,           // MHz
  memory_clock,       // MHz
  temperature,        // degrees Celsius
  memory_temperature,
  power,              // mW
  power_limit,        // mW
  energy,             // mJ since the driver was loaded
  pcie_replays,
  utilization,         // % of the last moment in which a kernel ran
  memory_utilization,  // % in which memory was read or written
  encoder,             // %
  decoder,             // %
  memory_free,         // bytes
  memory_used,
  memory_reserved,
  throttle_reasons,  // bits as in NVML's clocks event reasons
  remapped_correctable,
  remapped_uncorrectable,
  remap_pending,     // 0, 1: a reset will do it
  remap_failure,     // 0, 1
  ecc_corrected,     // since the driver was loaded
  ecc_uncorrected,
  ecc_corrected_ever,
  ecc_uncorrected_ever,
  recovery_action,  // the driver's verdict: 0 none, 1 reset, 2 reboot, 3 drain, 4 drain and reset
  count,
};
// What a GPU does not have, or would not say, is absent.
class Reading {
 public:
  std::optional<std::uint64_t> operator[](Measure m) const { return values_[at(m)]; }
  void set(Measure m, std::uint64_t value) { values_[at(m)] = value; }
  bool operator==(const Reading&) const = default;

 private:
  static std::size_t at(Measure m) { return static_cast<std::size_t>(m); }
  std::array<std::optional<std::uint64_t>, static_cast<std::size_t>(Measure::count)> values_{};
};

struct Xid {  // an error that the driver reports by a number
  std::string pci;  // of the GPU, as in Gpu
  unsigned number = 0;
  bool operator==(const Xid&) const = default;
};

enum class GpuCode : std::uint8_t {
  absent,          // there is no driver on this machine
  no_driver,       // its library is there, and it is not loaded, or another one by now: open anew
  lost,            // the GPU has gone from the bus
  reset_required,  // it answers nothing until it has been reset
  failed,          // anything else
};
struct GpuError {
  GpuCode code = GpuCode::failed;
  std::string what;
};
template <class T>
struct GpuAnswer {  // value, or error
  std::optional<T> value;
  GpuError error;
};

struct Inventory {
  std::string driver;  // "580.95.05"
  std::vector<Gpu> gpus;
  std::vector<std::string> silent;  // of those that would not say who they are: which, and why
  bool operator==(const Inventory&) const = default;
};

// A driver that has been opened. Every call may take for ever: callers have threads to spare, which
// may be in different calls at the same time. What the driver does not offer is absent.
class Gpus {
 public:
  virtual ~Gpus() = default;
  virtual const Inventory& inventory() const = 0;
  virtual GpuAnswer<Reading> read(const Gpu& gpu) = 0;
  // Waits for the next error at most so long; an empty list: none came. absent: it tells none.
  virtual GpuAnswer<std::vector<Xid>> next_errors(int wait_ms) = 0;
};
// Opens the driver anew; may take for ever, too.
using OpenGpus = std::function<GpuAnswer<std::shared_ptr<Gpus>>()>;
}  // namespace kairo::node
