// agents/cli/supervise.h - keeps a set of processes running: starts, restarts with backoff, stops.
#pragma once
#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::cli {
struct Program {
  std::string name;
  std::vector<std::string> argv;  // argv[0]: a path
  std::string log;                // stdout and stderr, appended
  int stage = 0;                  // those of a stage do not need each other when they end
};
// The programs run until `stop`; then they end, the highest stage first, each stage together
// (SIGTERM, SIGKILL when they do not end). One
// that ends by itself is started again after 0.2 s, doubling to 5 s while it keeps ending.
// pids_file: the pids of the running programs as "name pid" lines, for tests and `kairo status`.
class Supervisor {  // one thread
 public:
  Supervisor(std::vector<Program> programs, std::string pids_file);
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;
  Status start_all();
  void tend(std::int64_t now_ms);  // call it every 50 ms or so
  void stop_all();

 private:
  struct Running {
    Program program;
    pid_t pid = -1;
    int failures = 0;
    std::int64_t started_ms = 0, restart_ms = 0;
  };
  Status start(Running& running, std::int64_t now_ms);
  void stop(int stage);
  void write_pids() const;
  std::vector<Running> running_;
  const std::string pids_file_;
};
}  // namespace kairo::cli
