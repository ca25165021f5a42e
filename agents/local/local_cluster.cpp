// agents/local/local_cluster.cpp - puts store, objects and server together.
#include "agents/local/local_cluster.h"

#include <sys/random.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "agents/local/apiserver/local_server.h"
#include "agents/local/apiserver/memory_cluster.h"
#include "agents/local/node/runner.h"
#include "schemas/base/digest.h"
#include "schemas/base/log.h"

namespace kairo::cluster {
namespace {
namespace fs = std::filesystem;
constexpr std::size_t rows_at_a_time = 1000;

Result<state::Rows> all_rows(const state::Store& store) {
  state::Rows out;
  for (std::string after;;) {
    state::Rows some = TRY(store.scan(rows_prefix, after, rows_at_a_time));
    if (some.empty()) return out;
    after = some.back().first;
    for (auto& row : some) out.push_back(std::move(row));
  }
}
Result<std::string> random_seed() {
  char bytes[32];
  if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
    return Error{Code::unavailable, "the system gives no random bytes"};
  return sha256_hex({bytes, sizeof bytes});
}
Status write_port(const std::string& path, int port) {
  if (path.empty()) return ok();
  const std::string fresh = path + ".new";
  std::ofstream file(fresh);
  file << port << "\n";
  file.close();
  std::error_code error;
  if (file) fs::rename(fresh, path, error);
  if (!file || error) return Error{Code::unavailable, "port file " + path + ": cannot be written"};
  return ok();
}
}  // namespace

Status run_local_cluster(const LocalOptions& options, state::Store& store,
                         std::atomic<bool>& stop) {
  std::error_code error;
  fs::create_directories(options.state_dir, error);
  if (error || chmod(options.state_dir.c_str(), 0700) != 0)
    return Error{Code::unavailable, "state directory " + options.state_dir + ": " +
                                        (error ? error.message() : std::strerror(errno))};
  const SystemClock clock;
  const Persist persist = [&store](const Changes& changes) {
    return store.commit(state::Batch{changes});
  };
  const LogSource logs = [dir = options.state_dir](const std::string& pod,
                                                   const std::string& container,
                                                   std::uint64_t offset) {
    return read_container_log(dir, pod, container, offset);
  };
  MemoryCluster cluster(clock, TRY(random_seed()), persist, options.admit, logs);
  const state::Rows rows = TRY(all_rows(store));
  TRY(cluster.load(rows));
  const auto server = TRY(LocalServer::start(cluster, options.tokens_file, options.port));
  TRY(write_port(options.port_file, server->port()));
  log::info("local cluster serves", {{"port", std::to_string(server->port())},
                                     {"version", std::to_string(cluster.version())}});
  Runner runner(cluster, clock,
                {{options.state_dir, options.program_dir, options.programs, options.backoff_ms},
                 options.backoff_ms,
                 options.ends_pods});
  runner.run(stop);
  return ok();
}
}  // namespace kairo::cluster
