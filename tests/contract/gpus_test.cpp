// What this proves: NVIDIA's library is read through the real dlopen, whatever it has, says, or
// does not say; one call that hangs holds up nothing but its own GPU. On the library of this
// machine, where it has one, the same port answers.
#include <dlfcn.h>
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "agents/node/gpu/gpu_metrics.h"
#include "agents/node/gpu/gpu_watch.h"
#include "agents/node/gpu/nvml.h"

namespace fs = std::filesystem;
namespace kairo::node {
namespace {
class Scene {
 public:
  explicit Scene(const std::string& text) {
    char pattern[] = "/tmp/kairo-gpus-XXXXXX";
    folder_ = ::mkdtemp(pattern);
    file_ = (folder_ / "scenario").string();
    ::mkfifo((file_ + ".events").c_str(), 0600);
    ::setenv("FAKE_NVML", file_.c_str(), 1);
    play(text);
  }
  ~Scene() {
    play("");  // what hangs goes on, and ends
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    fs::remove_all(folder_);
  }
  void play(const std::string& text) {  // whole, or not yet
    std::ofstream(file_ + ".new") << text;
    fs::rename(file_ + ".new", file_);
  }
  void error(unsigned gpu, unsigned xid) {
    std::ofstream(file_ + ".events") << gpu << " " << xid << std::endl;
  }
  std::string file(const std::string& name) const { return (folder_ / name).string(); }

 private:
  fs::path folder_;
  std::string file_;
};
const SystemClock system_clock_of_tests;

GpuWatchSettings settings_of(const char* library = FAKE_NVML_LIBRARY) {
  GpuWatchSettings out;
  out.open = [library] { return open_nvml(library); };
  out.clock = &system_clock_of_tests;
  out.period_ms = 20;
  out.retry_ms = out.reopen_ms = 20;
  out.retry_ms_max = 200;
  return out;
}
template <class Is>
bool within(std::int64_t ms, Is is) {
  for (; ms > 0; ms -= 5) {
    if (is()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return is();
}
std::string trouble(const GpuWatch& watch, std::size_t gpu) {
  const GpuBoard board = watch.board();
  if (gpu >= board.gpus.size()) return "not there";
  return trouble_of(board.gpus[gpu], known_xids(), board.now_ms);
}
bool has_read(const GpuWatch& watch, std::size_t gpu, Measure m, std::uint64_t value) {
  const GpuBoard board = watch.board();
  return gpu < board.gpus.size() && board.gpus[gpu].reading &&
         (*board.gpus[gpu].reading)[m] == value;
}

TEST_CASE("what a driver says of itself and of two GPUs") {
  Scene scene("gpus 2\ndriver 590.44.01\nmig 1\nnvmlDeviceGetTemperature.1 value 61\n");
  const auto opened = open_nvml(FAKE_NVML_LIBRARY);
  REQUIRE(opened.value);
  Gpus& gpus = **opened.value;
  const Inventory& has = gpus.inventory();
  CHECK(has.driver == "590.44.01");
  REQUIRE(has.gpus.size() == 2);
  CHECK(has.silent.empty());
  Gpu expected;
  expected.index = expected.minor = 1;
  expected.uuid = "GPU-00000001";
  expected.pci = "00000000:1C:00.0";
  expected.name = "NVIDIA H200";
  expected.major_capability = 9;
  expected.memory_bytes = 150'754'820'096;
  expected.mig = true;
  CHECK(has.gpus[1] == expected);
  CHECK_FALSE(has.gpus[0].mig);
  const auto got = gpus.read(has.gpus[1]);
  REQUIRE(got.value);
  const std::pair<Measure, std::uint64_t> values[] = {
      {Measure::sm_clock, 1'980},
      {Measure::memory_clock, 3'201},
      {Measure::temperature, 61},
      {Measure::memory_temperature, 45},
      {Measure::power, 76'512},
      {Measure::power_limit, 700'000},
      {Measure::energy, 123'456'789},
      {Measure::pcie_replays, 0},
      {Measure::utilization, 97},
      {Measure::memory_utilization, 12},
      {Measure::encoder, 0},
      {Measure::decoder, 0},
      {Measure::memory_free, 149'317'222'400},
      {Measure::memory_used, 808'452'096},
      {Measure::memory_reserved, 629'145'600},
      {Measure::throttle_reasons, 1},
      {Measure::remapped_correctable, 0},
      {Measure::remapped_uncorrectable, 0},
      {Measure::remap_pending, 0},
      {Measure::remap_failure, 0},
      {Measure::ecc_corrected, 3},
      {Measure::ecc_uncorrected, 0},
      {Measure::ecc_corrected_ever, 3},
      {Measure::ecc_uncorrected_ever, 0},
      {Measure::recovery_action, 0},
  };
  static_assert(std::size(values) == static_cast<std::size_t>(Measure::count));
  for (const auto& [measure, value] : values) {
    CAPTURE(static_cast<int>(measure));
    CHECK((*got.value)[measure] == value);
  }
}

TEST_CASE("what the driver does not have, or refuses, is absent, and all else is there") {
  Scene scene(
      "gpus 1\nnvmlDeviceGetMemoryInfo_v2.* code 25\nnvmlDeviceGetEncoderUtilization.* code 3\n"
      "field230.* code 3\nnvmlDeviceGetPowerUsage.* code 4\n");
  const auto opened = open_nvml(FAKE_NVML_LIBRARY);
  REQUIRE(opened.value);
  const auto got = (*opened.value)->read((*opened.value)->inventory().gpus[0]);
  REQUIRE(got.value);
  CHECK_FALSE((*got.value)[Measure::encoder]);
  CHECK_FALSE((*got.value)[Measure::recovery_action]);
  CHECK_FALSE((*got.value)[Measure::power]);
  CHECK_FALSE((*got.value)[Measure::memory_reserved]);
  CHECK((*got.value)[Measure::memory_used] == 808'452'096);  // by the older call
  CHECK((*got.value)[Measure::decoder] == 0);
  const auto few = open_nvml(FAKE_NVML_FEW_LIBRARY);
  REQUIRE(few.value);
  const Inventory& has = (*few.value)->inventory();
  REQUIRE(has.gpus.size() == 1);
  CHECK(has.gpus[0].uuid == "GPU-00000000");
  CHECK(has.gpus[0].major_capability == 0);
  const auto nothing = (*few.value)->read(has.gpus[0]);
  REQUIRE(nothing.value);
  CHECK(*nothing.value == Reading());
  CHECK((*few.value)->next_errors(1).error.code == GpuCode::absent);
}

TEST_CASE("each return code has its meaning") {
  struct Row {
    const char* scenario;
    GpuCode code;
    const char* what;
  };
  const Row rows[] = {
      {"gpus 1\nnvmlInit_v2 code 9\n", GpuCode::no_driver,
       "nvmlInit_v2: Driver Not Loaded (code 9)"},
      {"gpus 1\nnvmlInit_v2 code 18\n", GpuCode::no_driver, "nvmlInit_v2: Some error (code 18)"},
      {"gpus 1\nnvmlDeviceGetCount_v2 code 999\n", GpuCode::failed,
       "nvmlDeviceGetCount_v2: Some error (code 999)"},
  };
  for (const Row& row : rows) {
    Scene scene(row.scenario);
    const auto opened = open_nvml(FAKE_NVML_LIBRARY);
    CHECK_FALSE(opened.value);
    CHECK(opened.error.code == row.code);
    CHECK(opened.error.what == row.what);
  }
  const auto none = open_nvml("/nowhere/libnvidia-ml.so.1");
  CHECK(none.error.code == GpuCode::absent);
  CHECK(none.error.what.starts_with("no NVIDIA driver: "));
}

TEST_CASE("a call that hangs for ever is told of, and the other GPU goes on") {
  Scene scene("gpus 2\n");
  const GpuWatch watch(settings_of());
  REQUIRE(within(2'000, [&] { return has_read(watch, 1, Measure::temperature, 34); }));
  scene.play("gpus 2\nnvmlDeviceGetPowerUsage.0 hang\nnvmlDeviceGetTemperature.1 value 71\n");
  REQUIRE(within(2'000, [&] { return has_read(watch, 1, Measure::temperature, 71); }));
  REQUIRE(within(2'000, [&] {
    const std::int64_t since = watch.board().gpus[0].busy_since_ms;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    return since != 0 && watch.board().gpus[0].busy_since_ms == since;
  }));
  GpuBoard board = watch.board();
  const std::string said = "the driver does not answer about it: restart the node; if it comes "
                           "again, have its hardware looked at";
  board.now_ms = board.gpus[0].busy_since_ms + 10'000;
  CHECK(trouble_of(board.gpus[0], known_xids(), board.now_ms) == "");
  board.now_ms += 1;  // eleven seconds later, without waiting for them
  CHECK(trouble_of(board.gpus[0], known_xids(), board.now_ms) == said);
  CHECK(board.trouble == "");
  const std::string metrics = gpu_metrics(board, {said, ""}, "gpu-1");
  CHECK(metrics.find("DCGM_FI_DEV_GPU_TEMP{gpu=\"0\"") == std::string::npos);
  CHECK(metrics.find("kairo_gpu_ok{gpu=\"0\",UUID=\"GPU-00000000\"") != std::string::npos);
  scene.play("gpus 2\nnvmlDeviceGetTemperature.0 value 55\n");  // it comes back all the same
  CHECK(within(2'000, [&] { return has_read(watch, 0, Measure::temperature, 55); }));
}

TEST_CASE("a driver whose opening hangs holds up nobody") {
  Scene scene("gpus 1\nnvmlInit_v2 hang\n");
  const GpuWatch watch(settings_of());
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  CHECK_FALSE(watch.board().is_open);
  scene.play("gpus 1\n");
  CHECK(within(2'000, [&] { return watch.board().is_open; }));
}

TEST_CASE("an error is heard, named, and forgotten when the driver says that all is well") {
  Scene scene("gpus 2\nfield230.* code 3\n");
  const GpuWatch watch(settings_of());
  REQUIRE(within(2'000, [&] { return has_read(watch, 1, Measure::temperature, 34); }));
  scene.error(1, 13);  // the program's own
  REQUIRE(within(2'000, [&] { return watch.board().gpus[1].last.has_value(); }));
  CHECK(watch.board().gpus[1].last->number == 13);
  CHECK(trouble(watch, 1) == "");
  scene.error(1, 119);
  const std::string said =
      "Xid 119 (the GPU's system processor does not answer): drain the node and reset the GPU "
      "(nvidia-smi --gpu-reset), or restart the node";
  CHECK(within(2'000, [&] { return trouble(watch, 1) == said; }));
  CHECK(trouble(watch, 0) == "");
  scene.play("gpus 2\nfield230.1 value 1\n");
  CHECK(within(4'000, [&] {
    return trouble(watch, 1) ==
           "the GPU must be reset, after Xid 119 (the GPU's system processor does not answer): "
           "drain the node and reset the GPU (nvidia-smi --gpu-reset), or restart the node";
  }));
  scene.play("gpus 2\n");
  CHECK(within(2'000, [&] { return trouble(watch, 1) == ""; }));
}

TEST_CASE("the kernel's log tells the same once") {
  Scene scene("gpus 2\nfield230.* code 3\n");
  std::ofstream log(scene.file("kern.log"));
  log << "kernel: NVRM: Xid (PCI:0000:1b:00): 79, before the agent began" << std::endl;
  GpuWatchSettings settings = settings_of();
  settings.kernel_log = scene.file("kern.log");
  const GpuWatch watch(settings);
  REQUIRE(within(2'000, [&] { return has_read(watch, 1, Measure::temperature, 34); }));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  log << "kernel: NVRM: Xid (PCI:0000:1c:00): 62, pid=1, name=python" << std::endl;
  CHECK(within(2'000, [&] { return trouble(watch, 1).starts_with("Xid 62 "); }));
  CHECK(trouble(watch, 0) == "");
  std::filesystem::rename(scene.file("kern.log"), scene.file("kern.log.1"));  // it is rotated
  std::ofstream next(scene.file("kern.log"));
  next << "kernel: NVRM: Xid (PCI:0000:1b:00): 62, pid=1, name=python" << std::endl;
  CHECK(within(2'000, [&] { return trouble(watch, 0).starts_with("Xid 62 "); }));
}

TEST_CASE("a GPU that is lost is known by its error, and found again when it is back") {
  Scene scene("gpus 2\n");
  const GpuWatch watch(settings_of());
  REQUIRE(within(2'000, [&] { return has_read(watch, 1, Measure::temperature, 34); }));
  scene.error(1, 79);
  const char* gone = "gpus 2\nnvmlDeviceGetTemperature.1 code 15\n"
                     "nvmlDeviceGetHandleByIndex_v2.1 code 15\n";
  scene.play(gone);
  const std::string said = "Xid 79 (the GPU has fallen off the bus): restart the node; if it comes "
                           "again, have its hardware looked at";
  REQUIRE(within(2'000, [&] { return trouble(watch, 1) == said; }));
  REQUIRE(within(2'000, [&] { return !watch.board().trouble.empty(); }));  // opened anew meanwhile
  CHECK(trouble(watch, 1) == said);
  CHECK(watch.board().trouble ==
        "GPU 1: nvmlDeviceGetHandleByIndex_v2: GPU is lost (code 15): restart the node; if it "
        "comes again, have its hardware looked at");
  CHECK(within(2'000, [&] { return has_read(watch, 0, Measure::temperature, 34); }));
  scene.play("gpus 2\n");
  CHECK(within(4'000, [&] { return trouble(watch, 1) == "" && watch.board().trouble == ""; }));
}

TEST_CASE("a driver that is exchanged under it is let go of, and opened anew") {
  Scene scene("gpus 1\n");
  const GpuWatch watch(settings_of());
  REQUIRE(within(2'000, [&] { return has_read(watch, 0, Measure::temperature, 34); }));
  scene.play("gpus 1\nnvmlInit_v2 code 18\nnvmlDeviceGetTemperature.* code 18\n");
  CHECK(within(2'000, [&] {
    return watch.board().trouble ==
           "the NVIDIA driver does not work (nvmlInit_v2: Some error (code 18)): load it "
           "(modprobe nvidia), or restart the node";
  }));
  CHECK_FALSE(watch.board().is_open);
  void* library = ::dlopen(FAKE_NVML_LIBRARY, RTLD_LAZY);
  REQUIRE(library != nullptr);
  const auto held = reinterpret_cast<int (*)()>(::dlsym(library, "fake_nvml_held"));
  REQUIRE(static_cast<bool>(held));
  CHECK(within(2'000, [&] { return held() == 0; }));  // it can be unloaded
  ::dlclose(library);
  scene.play("gpus 1\ndriver 581.00.01\n");
  CHECK(within(2'000, [&] {
    return watch.board().driver == "581.00.01" && has_read(watch, 0, Measure::temperature, 34);
  }));
  CHECK(watch.board().trouble == "");
}

TEST_CASE("fewer GPUs than the bus has; no driver at all") {
  Scene scene("gpus 1\n");
  GpuWatchSettings settings = settings_of();
  settings.count = [] { return 2U; };
  const GpuWatch watch(settings);
  CHECK(within(2'000, [&] {
    return watch.board().trouble ==
           "the NVIDIA driver lists 1 of the 2 GPUs on the bus: restart the node; if it comes "
           "again, have its hardware looked at";
  }));
  const GpuWatch none(settings_of("/nowhere/libnvidia-ml.so.1"));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  CHECK_FALSE(none.board().is_open);
  CHECK(none.board().trouble == "");
  CHECK(gpu_metrics(none.board(), {}, "laptop") == "");
}

TEST_CASE("the library of this machine") {
  const auto opened = open_nvml();
  if (!opened.value) {
    MESSAGE("SKIP: " << opened.error.what);
    return;
  }
  const Inventory& has = (*opened.value)->inventory();
  CHECK_FALSE(has.driver.empty());
  for (const Gpu& gpu : has.gpus) {
    CHECK(gpu.uuid.starts_with("GPU-"));
    CHECK(gpu.memory_bytes > 0);
    const auto got = (*opened.value)->read(gpu);
    REQUIRE(got.value);
    CHECK((*got.value)[Measure::memory_used].value_or(gpu.memory_bytes + 1) <= gpu.memory_bytes);
    CHECK((*got.value)[Measure::temperature].value_or(1'000) < 120);
    CHECK((*got.value)[Measure::utilization].value_or(1'000) <= 100);
  }
}
}  // namespace
}  // namespace kairo::node
