// agents/local/node/process.cpp - fork, lock, exec, wait. Between fork and exec only
// async-signal-safe calls: the runner has threads.
#include "agents/local/node/process.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>

namespace kairo::cluster {
namespace {
// Everything that the new processes need, laid out before the fork.
struct Prepared {
  explicit Prepared(const ProcessSpec& s)
      : spec(s),
        lock(s.dir + "/lock"),
        pid(s.dir + "/pid"),
        pid_new(s.dir + "/pid.new"),
        log(s.dir + "/log"),
        exit(s.dir + "/exit"),
        exit_new(s.dir + "/exit.new") {
    for (const std::string& a : s.argv) argv.push_back(const_cast<char*>(a.c_str()));
    for (const std::string& e : s.env) env.push_back(const_cast<char*>(e.c_str()));
    argv.push_back(nullptr);
    env.push_back(nullptr);
  }
  const ProcessSpec& spec;
  const std::string lock, pid, pid_new, log, exit, exit_new;
  std::vector<char*> argv, env;
};

void write_number(const char* fresh, const char* path, long number) {
  char text[32];
  char* end = text + sizeof text;
  char* p = end;
  *--p = '\n';
  do *--p = static_cast<char>('0' + number % 10);
  while ((number /= 10) > 0);
  const int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (write(fd, p, static_cast<std::size_t>(end - p)) > 0) rename(fresh, path);
  close(fd);
}

[[noreturn]] void run(const Prepared& p, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // of the waiting parent, not of the runner
  if (getppid() != parent) _exit(127);
  setpgid(0, 0);
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int log = open(p.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  dup2(null, 0);
  dup2(log, 1);
  dup2(log, 2);
  for (const std::string& file : p.spec.cgroups) {
    const int fd = open(file.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, "0", 1) < 0) {
    }  // without its limits: the runner has said whether limits hold here
    close(fd);
  }
  if (chdir(p.spec.cwd.c_str()) == 0) execve(p.spec.program.c_str(), p.argv.data(), p.env.data());
  const char* why = strerrordesc_np(errno);
  for (const char* part : {"cannot run ", p.spec.program.c_str(), ": ", why, "\n"})
    if (write(2, part, std::strlen(part)) < 0) _exit(127);
  _exit(127);
}

[[noreturn]] void wait_for_it(const Prepared& p, int ready) {
  setsid();
  prctl(PR_SET_NAME, "kairo-pod");
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) std::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  dup2(ready, 3);
  close_range(4, ~0U, 0);
  fcntl(3, F_SETFD, FD_CLOEXEC);
  const int lock = open(p.lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) != 0) _exit(1);
  const pid_t self = getpid();
  const pid_t child = fork();
  if (child == 0) run(p, self);
  if (child < 0) _exit(1);
  setpgid(child, child);
  write_number(p.pid_new.c_str(), p.pid.c_str(), child);
  if (write(3, "r", 1) != 1) {
  }  // the runner died meanwhile: its successor finds the lock
  close(3);
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd < 3; ++fd) dup2(null, fd);
  siginfo_t info{};
  while (waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
  }
  kill(-child, SIGKILL);  // what it left behind; its pid is still taken, so no one else is hit
  const int code = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
  write_number(p.exit_new.c_str(), p.exit.c_str(), code);
  waitpid(child, nullptr, 0);
  _exit(0);
}

std::int64_t modified_ms(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return 0;
  return info.st_mtim.tv_sec * 1000 + info.st_mtim.tv_nsec / 1'000'000;
}
bool is_held(const std::string& lock) {
  const int fd = open(lock.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return false;
  const bool is_free = flock(fd, LOCK_SH | LOCK_NB) == 0;
  close(fd);
  return !is_free;
}
bool read_number(const std::string& path, int& number) {
  return static_cast<bool>(std::ifstream(path) >> number);
}
}  // namespace

Status Processes::start(const ProcessSpec& spec) {
  const auto refused = [&](const char* what) {
    return Error{Code::unavailable,
                 "start " + spec.program + ": " + what + ": " + std::strerror(errno)};
  };
  const Prepared prepared(spec);
  int ready[2];
  if (pipe2(ready, O_CLOEXEC) != 0) return refused("pipe");
  const pid_t parent = fork();
  if (parent == 0) wait_for_it(prepared, ready[1]);
  close(ready[1]);
  char byte = 0;
  const bool is_ready = parent > 0 && read(ready[0], &byte, 1) == 1;
  close(ready[0]);
  if (parent > 0) parents_.push_back(parent);
  return is_ready ? ok() : Status(refused(parent < 0 ? "fork" : "lock or fork"));
}

void Processes::reap() {
  std::erase_if(parents_, [](pid_t pid) { return waitpid(pid, nullptr, WNOHANG) != 0; });
}

ProcessState look_at(const std::string& dir) {
  ProcessState out;
  const std::string lock = dir + "/lock", exit = dir + "/exit";
  out.started_ms = modified_ms(lock);
  if (out.started_ms == 0) return out;
  // The lock is looked at first: an end between the two looks has left its exit code.
  const bool runs = is_held(lock);
  if (read_number(exit, out.exit_code)) {
    out.phase = ProcessState::Phase::exited;
    out.ended_ms = modified_ms(exit);
  } else if (runs) {
    out.phase = ProcessState::Phase::running;
  } else {
    out.phase = ProcessState::Phase::exited;
    out.exit_code = 137;
    out.is_lost = true;
    out.ended_ms = std::max(out.started_ms, modified_ms(dir + "/log"));
  }
  return out;
}

void send_signal(const std::string& dir, int signal) {
  int pid = 0;
  if (look_at(dir).phase != ProcessState::Phase::running) return;
  if (read_number(dir + "/pid", pid) && pid > 1) kill(-pid, signal);
}
}  // namespace kairo::cluster
