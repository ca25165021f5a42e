// What it costs to look at GPUs: the real reader over a library of our own that plays eight.
//   gpus_bench [SECONDS [GPUS]]
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "agents/node/gpu/gpu_metrics.h"
#include "agents/node/gpu/gpu_watch.h"
#include "agents/node/gpu/nvml.h"

using namespace kairo;
using namespace kairo::node;
namespace {
double cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}
double resident_mib() {
  std::ifstream status("/proc/self/statm");
  long all = 0, resident = 0;
  status >> all >> resident;
  return static_cast<double>(resident) * 4096 / (1 << 20);
}
void sleep_ms(double ms) {
  std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(ms));
}
double now_us() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
}
double share(std::vector<double> values, double part) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(part * static_cast<double>(values.size() - 1))];
}
}  // namespace

int main(int argc, char** argv) {
  const int seconds = argc > 1 ? std::atoi(argv[1]) : 20, gpus = argc > 2 ? std::atoi(argv[2]) : 8;
  char pattern[] = "/tmp/kairo-gpus-XXXXXX";
  const std::filesystem::path folder = ::mkdtemp(pattern);
  const std::string scenario = (folder / "scenario").string();
  std::ofstream(scenario) << "gpus " << gpus << "\n";
  ::mkfifo((scenario + ".events").c_str(), 0600);
  ::setenv("FAKE_NVML", scenario.c_str(), 1);
  static const SystemClock clock;
  GpuWatchSettings settings;
  settings.open = [] { return open_nvml(FAKE_NVML_LIBRARY); };
  settings.clock = &clock;
  const double before_mib = resident_mib();
  GpuWatch watch(settings);
  while (watch.board().gpus.empty()) sleep_ms(5);
  sleep_ms(1'500);
  const double cpu = cpu_seconds();
  sleep_ms(seconds * 1'000.0);
  const double used = (cpu_seconds() - cpu) / seconds * 100;
  std::vector<double> renders, errors;
  std::size_t bytes = 0;
  for (int i = 0; i < 500; ++i) {
    const double began = now_us();
    const GpuBoard board = watch.board();
    bytes = gpu_metrics(board, std::vector<std::string>(board.gpus.size()), "node").size();
    renders.push_back((now_us() - began) / 1'000);
  }
  for (unsigned i = 0; i < 200; ++i) {
    const unsigned xid = 1'000 + i;
    std::ofstream fifo(scenario + ".events");
    const double began = now_us();
    fifo << "0 " << xid << std::endl;
    for (;;) {
      const GpuBoard board = watch.board();
      if (board.gpus[0].last && board.gpus[0].last->number == xid) break;
    }
    errors.push_back(now_us() - began);
  }
  std::printf("  %d GPUs, each second: %.3f %% of a core, %.1f MiB; metrics of %zu KB in %.2f ms "
              "(p99); an Xid is known after %.0f us (p50), %.0f us (p99)\n",
              gpus, used, resident_mib() - before_mib, bytes / 1'000, share(renders, 0.99),
              share(errors, 0.5), share(errors, 0.99));
  std::filesystem::remove_all(folder);
  std::fflush(stdout);
  std::_Exit(0);
}
