// tests/agents/local/local_cluster_main.cpp - the local cluster as a process of its own, for
// tests: argv[1] is a folder with `tokens`; it writes `port` there. argv[2...]: allowed programs.
#include <csignal>
#include <cstdio>

#include "agents/local/local_cluster.h"
#include "schemas/base/log.h"
#include "state/rocks_store.h"

namespace {
std::atomic<bool> stop{false};
}
int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const std::string dir = argv[1];
  kairo::log::start("local-cluster");
  std::signal(SIGTERM, [](int) { stop = true; });
  auto store = kairo::state::open_rocks_store(dir + "/store");
  if (!store.ok()) {
    std::fprintf(stderr, "%s\n", store.error().what.c_str());
    return 1;
  }
  kairo::cluster::LocalOptions options;
  options.state_dir = dir + "/state";
  options.port_file = dir + "/port";
  options.tokens_file = dir + "/tokens";
  options.program_dir = dir;
  options.admit = [](const std::string&, const std::string& object) -> kairo::Status {
    if (object.find("\"refuse\"") == std::string::npos) return kairo::ok();
    return kairo::Error{kairo::Code::invalid, "the test refuses it"};
  };
  options.backoff_ms = 200;
  for (int i = 2; i < argc; ++i) options.programs.push_back(argv[i]);
  const auto ran = kairo::cluster::run_local_cluster(options, *store.value(), stop);
  if (!ran.ok()) std::fprintf(stderr, "%s\n", ran.error().what.c_str());
  return ran.ok() ? 0 : 1;
}
