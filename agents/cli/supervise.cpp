// agents/cli/supervise.cpp - fork, exec, waitpid.
#include "agents/cli/supervise.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <functional>
#include <set>

#include "schemas/base/log.h"

namespace kairo::cli {
namespace {
constexpr int stop_wait_ms = 70'000;  // the cluster gives its pods 60 s for a checkpoint

// A child of a supervisor that was killed hard ends too: nobody else would ever restart or stop it.
[[noreturn]] void become(const Program& program, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(1);
  setpgid(0, 0);  // Ctrl-C in the terminal is for the supervisor
  const int log = open(program.log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  const int none = open("/dev/null", O_RDONLY);
  dup2(none, 0);
  dup2(log, 1);
  dup2(log, 2);
  std::vector<char*> argv;
  for (const std::string& arg : program.argv) argv.push_back(const_cast<char*>(arg.c_str()));
  argv.push_back(nullptr);
  execv(argv[0], argv.data());
  dprintf(2, "cannot run %s\n", argv[0]);
  _exit(127);
}
}  // namespace

Supervisor::Supervisor(std::vector<Program> programs, std::string pids_file)
    : pids_file_(std::move(pids_file)) {
  for (Program& program : programs) running_.push_back({std::move(program), -1, 0, 0, 0});
}
Supervisor::~Supervisor() {
  stop_all();
}

Status Supervisor::start(Running& running, std::int64_t now_ms) {
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) return Error{Code::unavailable, "fork for " + running.program.name + " failed"};
  if (child == 0) become(running.program, parent);
  running.pid = child;
  running.started_ms = now_ms;
  return ok();
}

Status Supervisor::start_all() {
  for (Running& running : running_) TRY(start(running, 0));
  write_pids();
  return ok();
}

void Supervisor::tend(std::int64_t now_ms) {
  bool changed = false;
  for (Running& running : running_) {
    if (running.started_ms == 0) running.started_ms = now_ms;
    int status = 0;
    if (running.pid > 0 && waitpid(running.pid, &status, WNOHANG) == running.pid) {
      running.pid = -1;
      changed = true;
      running.failures = now_ms - running.started_ms > 30'000 ? 1 : running.failures + 1;
      const int wait_ms = std::min(100 << std::min(running.failures, 6), 5'000);
      running.restart_ms = now_ms + wait_ms;
      log::warn("a process ended; it is started again", {{"process", running.program.name},
                                                         {"status", std::to_string(status)},
                                                         {"in_ms", std::to_string(wait_ms)},
                                                         {"log", running.program.log}});
    }
    if (running.pid < 0 && now_ms >= running.restart_ms) {
      if (start(running, now_ms).ok()) changed = true;
    }
  }
  if (changed) write_pids();
}

void Supervisor::stop(int stage) {
  const auto each = [&](const std::function<bool(Running&)>& is_over) {  // whether all are over
    bool all = true;
    for (Running& running : running_) {
      if (running.pid <= 0 || running.program.stage != stage) continue;
      if (is_over(running)) running.pid = -1;
      all = all && running.pid < 0;
    }
    return all;
  };
  const auto reap = [](Running& r) { return waitpid(r.pid, nullptr, WNOHANG) == r.pid; };
  bool all = each([](Running& r) { return kill(r.pid, SIGTERM) != 0; });
  for (int waited = 0; !all && waited < stop_wait_ms; waited += 10) {
    usleep(10'000);
    all = each(reap);
  }
  each([](Running& r) {
    kill(r.pid, SIGKILL);
    return waitpid(r.pid, nullptr, 0) == r.pid;
  });
}

void Supervisor::stop_all() {
  std::set<int, std::greater<>> stages;
  for (const Running& running : running_) stages.insert(running.program.stage);
  for (const int stage : stages) stop(stage);
  unlink(pids_file_.c_str());
}

void Supervisor::write_pids() const {
  std::ofstream out(pids_file_ + ".new");
  for (const Running& running : running_)
    if (running.pid > 0) out << running.program.name << " " << running.pid << "\n";
  out.close();
  rename((pids_file_ + ".new").c_str(), pids_file_.c_str());
}
}  // namespace kairo::cli
