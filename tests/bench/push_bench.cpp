// tests/bench/push_bench.cpp - pushes an adapter folder once and prints MB/s.
//
// usage: push_bench REFERENCE FOLDER DOCKER_CONFIG STATE_FOLDER
#include <chrono>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "agents/pusher/registry_uploader.h"
#include "state/rocks_store.h"

int main(int argc, char** argv) {
  using namespace kairo;
  if (argc != 5) {
    std::fputs("usage: push_bench REFERENCE FOLDER DOCKER_CONFIG STATE_FOLDER\n", stderr);
    return 2;
  }
  auto store = state::open_rocks_store(argv[4]);
  if (!store.ok()) return std::fprintf(stderr, "%s\n", store.error().what.c_str()), 1;
  const std::unique_ptr<state::Store> kept = std::move(store).value();
  pusher::RegistryUploader uploader(*kept, {});
  std::ostringstream config;
  config << std::ifstream(argv[3]).rdbuf();
  const SystemClock clock;
  const std::int64_t begin = clock.monotonic_ms();
  const auto pushed = uploader.push({argv[1], argv[2], "bench", config.str(), {}},
                                    [](std::uint64_t, std::uint64_t) {});
  if (!pushed.ok()) return std::fprintf(stderr, "%s\n", pushed.error().what.c_str()), 1;
  const double seconds = static_cast<double>(clock.monotonic_ms() - begin) / 1000;
  std::printf("%.1f\n", static_cast<double>(pushed.value().bytes) / 1e6 / seconds);
  return 0;
}
