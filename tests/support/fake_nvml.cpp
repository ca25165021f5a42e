// A libnvidia-ml.so.1 for tests, played from a scenario: the file that FAKE_NVML names, read at each
// call, so that a test changes it while it is loaded. Its lines:
//   gpus 2                                  how many there are
//   driver 580.95.05
//   mig 1                                   GPU 1 is cut
//   nvmlDeviceGetTemperature.1 value 61     what the call answers about GPU 1 (".*": about each)
//   nvmlInit_v2 code 9                      what it returns
//   nvmlDeviceGetPowerUsage.0 hang          until the line is taken away
//   nvmlDeviceGetPowerUsage.0 wait 20       milliseconds
// Errors come as "GPU XID" lines through the FIFO <scenario>.events. Compiled with FEW it has the
// least that a driver may have.
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>

namespace {
std::atomic<int> held{0};  // how often it has been opened and not closed
using Scenario = std::map<std::string, std::map<std::string, unsigned long long>>;

std::string scenario_file() {
  const char* path = std::getenv("FAKE_NVML");
  return path == nullptr ? "" : path;
}
// Parsed again when the file is another one.
Scenario read_scenario(std::string* driver = nullptr) {
  static std::mutex mutex;
  static Scenario known;
  static std::string known_driver, known_stamp;
  const std::lock_guard lock(mutex);
  struct stat s {};
  (void)::stat(scenario_file().c_str(), &s);
  const std::string stamp = scenario_file() + " " + std::to_string(s.st_ino) + " " +
                            std::to_string(s.st_mtim.tv_sec) + "." +
                            std::to_string(s.st_mtim.tv_nsec);
  if (stamp == known_stamp) {
    if (driver != nullptr && !known_driver.empty()) *driver = known_driver;
    return known;
  }
  known_stamp = stamp;
  known_driver.clear();
  Scenario out;
  std::ifstream in(scenario_file());
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string key, what;
    words >> key >> what;
    if (key == "driver") {
      known_driver = what;
      continue;
    }
    unsigned long long value = 0;
    if (key == "gpus" || key == "mig") {
      out[key][what] = 1;
      continue;
    }
    words >> value;
    out[key][what] = value;
  }
  if (driver != nullptr && !known_driver.empty()) *driver = known_driver;
  return known = out;
}
unsigned gpus() {
  const Scenario s = read_scenario();
  const auto found = s.find("gpus");
  return found == s.end() ? 0 : static_cast<unsigned>(std::stoul(found->second.begin()->first));
}
// A device is its number + 1.
unsigned index_of(void* device) {
  return static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(device) - 1);
}
// Plays what the scenario says of the call; the code that it returns. value: changed where one is
// given.
int play(const std::string& call, void* device, unsigned long long* value = nullptr) {
  for (;;) {
    const Scenario s = read_scenario();
    bool hangs = false;
    int code = 0;
    std::string names[] = {call, call + ".*", call + "." + std::to_string(index_of(device))};
    for (const std::string& name : names) {
      const auto found = s.find(name);
      if (found == s.end()) continue;
      const auto& says = found->second;
      if (says.contains("hang")) hangs = true;
      if (says.contains("wait"))
        std::this_thread::sleep_for(std::chrono::milliseconds(says.at("wait")));
      if (says.contains("code")) code = static_cast<int>(says.at("code"));
      if (says.contains("value") && value != nullptr) *value = says.at("value");
    }
    if (!hangs) return code;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}
[[maybe_unused]] int number(const char* call, void* device, unsigned otherwise, unsigned* out) {
  unsigned long long value = otherwise;
  const int code = play(call, device, &value);
  if (code == 0) *out = static_cast<unsigned>(value);
  return code;
}
[[maybe_unused]] int wide(const char* call, void* device, unsigned long long otherwise, unsigned long long* out) {
  unsigned long long value = otherwise;
  const int code = play(call, device, &value);
  if (code == 0) *out = value;
  return code;
}
int text(const std::string& from, char* to, unsigned length) {
  std::snprintf(to, length, "%s", from.c_str());
  return 0;
}
}  // namespace

extern "C" {
struct Pci {
  char legacy[16];
  unsigned domain, bus, device, id, subsystem;
  char bus_id[32];
};
struct Field {
  unsigned id, scope;
  long long timestamp, latency;
  unsigned type;
  int code;
  unsigned long long value;
};
struct Event {
  void* device;
  unsigned long long type, data;
  unsigned gpu_instance, compute_instance;
};
struct Memory2 {
  unsigned version;
  unsigned long long total, reserved, free, used;
};

int fake_nvml_held() { return held; }
int nvmlInit_v2() {
  const int code = play("nvmlInit_v2", nullptr);
  if (code == 0) ++held;
  return code;
}
int nvmlShutdown() {
  --held;
  return 0;
}
int nvmlDeviceGetCount_v2(unsigned* out) {
  *out = gpus();
  return play("nvmlDeviceGetCount_v2", nullptr);
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** out) {
  if (index >= gpus()) return 2;
  *out = reinterpret_cast<void*>(static_cast<std::uintptr_t>(index) + 1);
  return play("nvmlDeviceGetHandleByIndex_v2", *out);
}
int nvmlDeviceGetUUID(void* device, char* out, unsigned length) {
  return text("GPU-0000000" + std::to_string(index_of(device)), out, length);
}
#ifndef FEW
const char* nvmlErrorString(int code) {
  return code == 15 ? "GPU is lost" : code == 9 ? "Driver Not Loaded" : "Some error";
}
int nvmlSystemGetDriverVersion(char* out, unsigned length) {
  std::string driver = "580.95.05";
  (void)read_scenario(&driver);
  return text(driver, out, length);
}
int nvmlDeviceGetName(void*, char* out, unsigned length) { return text("NVIDIA H200", out, length); }
int nvmlDeviceGetPciInfo_v3(void* device, Pci* out) {
  std::snprintf(out->bus_id, sizeof out->bus_id, "00000000:%02X:00.0", 0x1b + index_of(device));
  return play("nvmlDeviceGetPciInfo_v3", device);
}
int nvmlDeviceGetMinorNumber(void* device, unsigned* out) {
  return number("nvmlDeviceGetMinorNumber", device, index_of(device), out);
}
int nvmlDeviceGetCudaComputeCapability(void* device, int* major, int* minor) {
  *major = 9;
  *minor = 0;
  return play("nvmlDeviceGetCudaComputeCapability", device);
}
int nvmlDeviceGetMemoryInfo(void* device, unsigned long long* out) {
  out[0] = 143'771ULL << 20;
  out[1] = 143'000ULL << 20;
  out[2] = 771ULL << 20;
  return play("nvmlDeviceGetMemoryInfo", device);
}
int nvmlDeviceGetMemoryInfo_v2(void* device, Memory2* out) {
  if (out->version != 0x02000028) return 25;
  out->total = 143'771ULL << 20;
  out->reserved = 600ULL << 20;
  out->free = 142'400ULL << 20;
  out->used = 771ULL << 20;
  return play("nvmlDeviceGetMemoryInfo_v2", device);
}
int nvmlDeviceGetMigMode(void* device, unsigned* mode, unsigned* pending) {
  const Scenario s = read_scenario();
  const auto cut = s.find("mig");
  *mode = *pending =
      cut != s.end() && cut->second.contains(std::to_string(index_of(device))) ? 1 : 0;
  return play("nvmlDeviceGetMigMode", device);
}
int nvmlDeviceGetTemperature(void* device, int, unsigned* out) {
  return number("nvmlDeviceGetTemperature", device, 34, out);
}
int nvmlDeviceGetClockInfo(void* device, int kind, unsigned* out) {
  return number("nvmlDeviceGetClockInfo", device, kind == 1 ? 1'980 : 3'201, out);
}
int nvmlDeviceGetPowerUsage(void* device, unsigned* out) {
  return number("nvmlDeviceGetPowerUsage", device, 76'512, out);
}
int nvmlDeviceGetEnforcedPowerLimit(void* device, unsigned* out) {
  return number("nvmlDeviceGetEnforcedPowerLimit", device, 700'000, out);
}
int nvmlDeviceGetPcieReplayCounter(void* device, unsigned* out) {
  return number("nvmlDeviceGetPcieReplayCounter", device, 0, out);
}
int nvmlDeviceGetTotalEnergyConsumption(void* device, unsigned long long* out) {
  return wide("nvmlDeviceGetTotalEnergyConsumption", device, 123'456'789, out);
}
int nvmlDeviceGetUtilizationRates(void* device, unsigned* out) {
  out[1] = 12;
  return number("nvmlDeviceGetUtilizationRates", device, 97, out);
}
int nvmlDeviceGetEncoderUtilization(void* device, unsigned* out, unsigned* period) {
  *period = 100'000;
  return number("nvmlDeviceGetEncoderUtilization", device, 0, out);
}
int nvmlDeviceGetDecoderUtilization(void* device, unsigned* out, unsigned* period) {
  *period = 100'000;
  return number("nvmlDeviceGetDecoderUtilization", device, 0, out);
}
int nvmlDeviceGetCurrentClocksEventReasons(void* device, unsigned long long* out) {
  return wide("nvmlDeviceGetCurrentClocksEventReasons", device, 1, out);
}
int nvmlDeviceGetRemappedRows(void* device, unsigned* right, unsigned* wrong, unsigned* pending,
                              unsigned* failed) {
  *right = *wrong = *pending = 0;
  return number("nvmlDeviceGetRemappedRows", device, 0, failed);
}
int nvmlDeviceGetTotalEccErrors(void* device, int kind, int, unsigned long long* out) {
  return wide("nvmlDeviceGetTotalEccErrors", device, kind == 0 ? 3 : 0, out);
}
int nvmlDeviceGetFieldValues(void* device, int count, Field* out) {
  for (int i = 0; i < count; ++i) {
    out[i].code = 0;
    out[i].type = 1;
    out[i].value = out[i].id == 82 ? 45 : 0;
    const std::string name = "field" + std::to_string(out[i].id);
    out[i].code = play(name, device, &out[i].value);
  }
  return play("nvmlDeviceGetFieldValues", device);
}
int nvmlEventSetCreate(void** out) {
  const std::string fifo = scenario_file() + ".events";
  const int file = ::open(fifo.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) return 3;
  *out = reinterpret_cast<void*>(static_cast<std::uintptr_t>(file));
  return 0;
}
int nvmlEventSetFree(void* set) {
  return ::close(static_cast<int>(reinterpret_cast<std::uintptr_t>(set))) == 0 ? 0 : 999;
}
int nvmlDeviceGetSupportedEventTypes(void*, unsigned long long* out) {
  *out = 0x1ff;
  return 0;
}
int nvmlDeviceRegisterEvents(void*, unsigned long long, void*) { return 0; }
int nvmlEventSetWait_v2(void* set, Event* out, unsigned wait_ms) {
  const int file = static_cast<int>(reinterpret_cast<std::uintptr_t>(set));
  pollfd ready{file, POLLIN, 0};
  if (::poll(&ready, 1, static_cast<int>(wait_ms)) <= 0) return 10;
  char line[64] = {};
  for (std::size_t i = 0; i + 1 < sizeof line; ++i)
    if (::read(file, line + i, 1) != 1 || line[i] == '\n') break;
  unsigned gpu = 0, xid = 0;
  if (std::sscanf(line, "%u %u", &gpu, &xid) != 2) return 10;
  out->device = reinterpret_cast<void*>(static_cast<std::uintptr_t>(gpu) + 1);
  out->type = 8;
  out->data = xid;
  out->gpu_instance = out->compute_instance = 0xffffffff;
  return 0;
}
#endif
}  // extern "C"
