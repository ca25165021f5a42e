// agents/node/gpu/nvml.cpp - names, layouts, codes; no judgement.
#include "agents/node/gpu/nvml.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstddef>

namespace kairo::node {
namespace {
using Device = void*;
using EventSet = void*;

// Layouts of API 13 on 64-bit machines.
struct PciInfo {
  char legacy[16];
  unsigned domain, bus, device, device_id, subsystem_id;
  char bus_id[32];
};
struct Memory {
  unsigned long long total, free, used;
};
struct MemoryV2 {
  unsigned version;
  unsigned long long total, reserved, free, used;
};
struct Utilization {
  unsigned gpu, memory;
};
struct FieldValue {
  unsigned id, scope;
  long long timestamp, latency;
  unsigned type;
  int code;
  union {
    double real;
    unsigned number;
    unsigned long long wide;
  } value;
};
struct Event {
  Device device;
  unsigned long long type, data;
  unsigned gpu_instance, compute_instance;
};
static_assert(sizeof(PciInfo) == 68 && offsetof(PciInfo, bus_id) == 36);
static_assert(sizeof(Memory) == 24 && sizeof(MemoryV2) == 40 && sizeof(Utilization) == 8);
static_assert(sizeof(FieldValue) == 40 && offsetof(FieldValue, value) == 32);
static_assert(sizeof(Event) == 32 && offsetof(Event, data) == 16);

// Return codes to which there is an answer of our own.
constexpr int success = 0, uninitialized = 1, driver_not_loaded = 9, timed_out = 10, gpu_lost = 15,
              needs_reset = 16, other_driver = 18, missing_symbol = -1;
constexpr int temperature_of_gpu = 0, sm = 1, memory = 2, corrected = 0, uncorrected = 1,
              since_load = 0, ever = 1;
constexpr unsigned memory_temperature_field = 82, recovery_action_field = 230;
constexpr unsigned long long xid_event = 8;
constexpr unsigned memory_v2 = 0x02000028;

GpuCode code_of(int code) {
  if (code == uninitialized || code == driver_not_loaded || code == other_driver)
    return GpuCode::no_driver;
  if (code == gpu_lost) return GpuCode::lost;
  return code == needs_reset ? GpuCode::reset_required : GpuCode::failed;
}

class Library {
 public:
  explicit Library(void* handle) : handle_(handle) {}
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library() { ::dlclose(handle_); }
  bool has(const char* name) const { return ::dlsym(handle_, name) != nullptr; }
  template <class... Args>
  int call(const char* name, Args... args) const {
    void* symbol = ::dlsym(handle_, name);
    return symbol == nullptr ? missing_symbol : reinterpret_cast<int (*)(Args...)>(symbol)(args...);
  }
  GpuError error(const char* name, int code) const {
    if (code == missing_symbol)
      return {GpuCode::failed, std::string("the driver's library has no ") + name};
    std::string words;
    if (void* text = ::dlsym(handle_, "nvmlErrorString"))
      if (const char* said = reinterpret_cast<const char* (*)(int)>(text)(code)) words = said;
    return {code_of(code), std::string(name) + ": " + words.substr(0, 120) + " (code " +
                               std::to_string(code) + ")"};
  }

 private:
  void* const handle_;
};

// Text of the driver's: printable, of bounded length.
template <std::size_t n>
std::string text_of(const char (&raw)[n]) {
  std::string out;
  for (std::size_t i = 0; i < n && raw[i] != '\0'; ++i)
    out += raw[i] >= ' ' && raw[i] <= '~' ? raw[i] : '?';
  return out;
}

class Nvml final : public Gpus {
 public:
  explicit Nvml(std::unique_ptr<Library> library) : library_(std::move(library)) {}
  ~Nvml() override {
    if (events_ != nullptr) (void)library_->call("nvmlEventSetFree", events_);
    if (is_on_) (void)library_->call("nvmlShutdown");
  }
  std::optional<GpuError> start();
  const Inventory& inventory() const override { return inventory_; }
  GpuAnswer<Reading> read(const Gpu& gpu) override;
  GpuAnswer<std::vector<Xid>> next_errors(int wait_ms) override;

 private:
  std::optional<GpuError> identify(unsigned index);
  void listen(Device device);
  const std::unique_ptr<Library> library_;
  bool is_on_ = false;
  Inventory inventory_;
  std::vector<Device> devices_;  // of inventory_.gpus
  EventSet events_ = nullptr;
};

std::optional<GpuError> Nvml::start() {
  const auto& l = *library_;
  if (const int code = l.call("nvmlInit_v2"); code != success) return l.error("nvmlInit_v2", code);
  is_on_ = true;
  char driver[80] = {};
  if (l.call("nvmlSystemGetDriverVersion", driver, 79U) == success)
    inventory_.driver = text_of(driver);
  unsigned count = 0;
  if (const int code = l.call("nvmlDeviceGetCount_v2", &count); code != success)
    return l.error("nvmlDeviceGetCount_v2", code);
  (void)l.call("nvmlEventSetCreate", &events_);
  for (unsigned i = 0; i < std::min<unsigned>(count, gpus_max); ++i)
    if (const auto error = identify(i)) {
      if (error->code == GpuCode::no_driver) return error;
      inventory_.silent.push_back("GPU " + std::to_string(i) + ": " + error->what);
    }
  return std::nullopt;
}

std::optional<GpuError> Nvml::identify(unsigned index) {
  const auto& l = *library_;
  Gpu gpu;
  gpu.index = gpu.minor = index;
  Device device = nullptr;
  char uuid[96] = {}, name[96] = {};
  if (const int code = l.call("nvmlDeviceGetHandleByIndex_v2", index, &device); code != success)
    return l.error("nvmlDeviceGetHandleByIndex_v2", code);
  if (const int code = l.call("nvmlDeviceGetUUID", device, uuid, 95U); code != success)
    return l.error("nvmlDeviceGetUUID", code);
  gpu.uuid = text_of(uuid);
  if (l.call("nvmlDeviceGetName", device, name, 95U) == success) gpu.name = text_of(name);
  PciInfo pci{};
  if (l.call("nvmlDeviceGetPciInfo_v3", device, &pci) == success) gpu.pci = text_of(pci.bus_id);
  (void)l.call("nvmlDeviceGetMinorNumber", device, &gpu.minor);
  if (l.call("nvmlDeviceGetCudaComputeCapability", device, &gpu.major_capability,
             &gpu.minor_capability) != success)
    gpu.major_capability = gpu.minor_capability = 0;
  Memory room{};
  if (l.call("nvmlDeviceGetMemoryInfo", device, &room) == success) gpu.memory_bytes = room.total;
  unsigned mode = 0, pending = 0;
  gpu.mig = l.call("nvmlDeviceGetMigMode", device, &mode, &pending) == success && mode == 1;
  listen(device);
  devices_.push_back(device);
  inventory_.gpus.push_back(std::move(gpu));
  return std::nullopt;
}

void Nvml::listen(Device device) {
  unsigned long long supported = 0;
  if (events_ == nullptr) return;
  if (library_->call("nvmlDeviceGetSupportedEventTypes", device, &supported) == success &&
      (supported & xid_event) != 0)
    (void)library_->call("nvmlDeviceRegisterEvents", device, xid_event, events_);
}

GpuAnswer<Reading> Nvml::read(const Gpu& gpu) {
  const auto at = std::find(inventory_.gpus.begin(), inventory_.gpus.end(), gpu);
  if (at == inventory_.gpus.end()) return {{}, {GpuCode::lost, "it is none of the driver's"}};
  const Device device = devices_[static_cast<std::size_t>(at - inventory_.gpus.begin())];
  const auto& l = *library_;
  Reading out;
  GpuError gone;  // what ends the reading: all other measures would say the same
  bool has_ended = false;
  const auto is_said = [&](const char* name, auto... args) {
    if (has_ended) return false;
    const int code = l.call(name, args...);
    if (code != success && code != missing_symbol && code_of(code) != GpuCode::failed) {
      has_ended = true;
      gone = l.error(name, code);
    }
    return code == success;
  };
  unsigned n = 0, period = 0;
  unsigned long long wide = 0;
  const auto number = [&](Measure m, const char* name, auto... args) {
    if (is_said(name, device, args..., &n)) out.set(m, n);
  };
  number(Measure::temperature, "nvmlDeviceGetTemperature", temperature_of_gpu);
  number(Measure::sm_clock, "nvmlDeviceGetClockInfo", sm);
  number(Measure::memory_clock, "nvmlDeviceGetClockInfo", memory);
  number(Measure::power, "nvmlDeviceGetPowerUsage");
  number(Measure::power_limit, "nvmlDeviceGetEnforcedPowerLimit");
  number(Measure::pcie_replays, "nvmlDeviceGetPcieReplayCounter");
  if (is_said("nvmlDeviceGetTotalEnergyConsumption", device, &wide)) out.set(Measure::energy, wide);
  Utilization used{};
  if (is_said("nvmlDeviceGetUtilizationRates", device, &used)) {
    out.set(Measure::utilization, used.gpu);
    out.set(Measure::memory_utilization, used.memory);
  }
  if (is_said("nvmlDeviceGetEncoderUtilization", device, &n, &period)) out.set(Measure::encoder, n);
  if (is_said("nvmlDeviceGetDecoderUtilization", device, &n, &period)) out.set(Measure::decoder, n);
  MemoryV2 split{};
  split.version = memory_v2;
  Memory whole{};
  if (is_said("nvmlDeviceGetMemoryInfo_v2", device, &split)) {
    out.set(Measure::memory_free, split.free);
    out.set(Measure::memory_used, split.used);
    out.set(Measure::memory_reserved, split.reserved);
  } else if (is_said("nvmlDeviceGetMemoryInfo", device, &whole)) {
    out.set(Measure::memory_free, whole.free);
    out.set(Measure::memory_used, whole.used);
  }
  if (is_said("nvmlDeviceGetCurrentClocksEventReasons", device, &wide) ||
      is_said("nvmlDeviceGetCurrentClocksThrottleReasons", device, &wide))
    out.set(Measure::throttle_reasons, wide);
  unsigned right = 0, wrong = 0, pending = 0, failed = 0;
  if (is_said("nvmlDeviceGetRemappedRows", device, &right, &wrong, &pending, &failed)) {
    out.set(Measure::remapped_correctable, right);
    out.set(Measure::remapped_uncorrectable, wrong);
    out.set(Measure::remap_pending, pending != 0 ? 1 : 0);
    out.set(Measure::remap_failure, failed != 0 ? 1 : 0);
  }
  const auto errors = [&](Measure m, int kind, int since) {
    if (is_said("nvmlDeviceGetTotalEccErrors", device, kind, since, &wide)) out.set(m, wide);
  };
  errors(Measure::ecc_corrected, corrected, since_load);
  errors(Measure::ecc_uncorrected, uncorrected, since_load);
  errors(Measure::ecc_corrected_ever, corrected, ever);
  errors(Measure::ecc_uncorrected_ever, uncorrected, ever);
  FieldValue fields[2] = {};
  fields[0].id = memory_temperature_field;
  fields[1].id = recovery_action_field;
  if (is_said("nvmlDeviceGetFieldValues", device, 2, &fields[0])) {
    if (fields[0].code == success) out.set(Measure::memory_temperature, fields[0].value.number);
    if (fields[1].code == success) out.set(Measure::recovery_action, fields[1].value.number);
  }
  if (has_ended) return {{}, gone};
  return {out, {}};
}

GpuAnswer<std::vector<Xid>> Nvml::next_errors(int wait_ms) {
  if (events_ == nullptr || !library_->has("nvmlEventSetWait_v2"))
    return {{}, {GpuCode::absent, "the driver tells no events"}};
  Event event{};
  const int code =
      library_->call("nvmlEventSetWait_v2", events_, &event, static_cast<unsigned>(wait_ms));
  if (code == timed_out) return {std::vector<Xid>(), {}};
  if (code != success) return {{}, library_->error("nvmlEventSetWait_v2", code)};
  std::vector<Xid> out;
  const auto at = std::find(devices_.begin(), devices_.end(), event.device);
  if (event.type == xid_event && at != devices_.end() && event.data <= 0xffff)
    out.push_back({inventory_.gpus[static_cast<std::size_t>(at - devices_.begin())].pci,
                   static_cast<unsigned>(event.data)});
  return {std::move(out), {}};
}

std::vector<std::string> places_of_library() {
  const std::string name = "libnvidia-ml.so.1";
  return {name, "/run/nvidia/driver/usr/lib/x86_64-linux-gnu/" + name,
          "/run/nvidia/driver/usr/lib/aarch64-linux-gnu/" + name,
          "/run/nvidia/driver/usr/lib64/" + name, "/usr/lib/x86_64-linux-gnu/" + name,
          "/home/kubernetes/bin/nvidia/lib64/" + name};
}
}  // namespace

GpuAnswer<std::shared_ptr<Gpus>> open_nvml(const std::string& path) {
  const auto places = path.empty() ? places_of_library() : std::vector<std::string>{path};
  std::string why;
  for (const std::string& place : places) {
    void* handle = ::dlopen(place.c_str(), RTLD_LAZY | RTLD_LOCAL);
    if (handle == nullptr) {
      const char* said = ::dlerror();
      if (why.empty()) why = said == nullptr ? place : said;
      continue;
    }
    auto out = std::make_shared<Nvml>(std::make_unique<Library>(handle));
    if (auto error = out->start()) return {{}, std::move(*error)};
    return {std::shared_ptr<Gpus>(std::move(out)), {}};
  }
  return {{}, {GpuCode::absent, "no NVIDIA driver: " + why}};
}
}  // namespace kairo::node
