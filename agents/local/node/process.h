// agents/local/node/process.h - containers' processes that outlive us, known by their folder.
//
// Each process has a folder of its own: `lock`, held by a small waiting parent as long as the
// process runs; `pid`; `log` (stdout and stderr); `exit`, written when it ended. All that we know
// is read from there, so a runner that was killed and started again sees the same processes: there
// is no difference between started and adopted. A lock cannot be mistaken, as a reused pid can.
// Private to local/.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::cluster {
struct ProcessSpec {
  std::string dir;      // exists, and is empty
  std::string program;  // absolute path
  std::vector<std::string> argv, env;
  std::string cwd;
  std::vector<std::string> cgroups;  // cgroup.procs files to join
};
struct ProcessState {
  enum class Phase : std::uint8_t { absent, running, exited };
  Phase phase = Phase::absent;
  int exit_code = 0;     // 128 + signal when one ended it; 137 when it was lost
  bool is_lost = false;  // its waiting parent went too (power cut, reboot): nobody saw its end
  std::int64_t started_ms = 0, ended_ms = 0;  // Unix time
};
class Processes {  // one thread
 public:
  // ok: it runs, or has failed to and says so in its log with exit code 127. unavailable: the
  // system refused the fork or the folder.
  Status start(const ProcessSpec& spec);
  void reap();  // parents of ended processes; call it now and then

 private:
  std::vector<pid_t> parents_;
};
ProcessState look_at(const std::string& dir);
// To the process and all that it started and that did not leave its group. Ended: nothing happens.
void send_signal(const std::string& dir, int signal);
}  // namespace kairo::cluster
