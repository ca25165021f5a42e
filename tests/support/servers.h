// tests/support/servers.h - real servers for tests: started on free ports, ended by pid.
#pragma once
#include <sys/types.h>

#include <string>
#include <vector>

namespace kairo::test {
class TempDir {  // removed with all that is in it
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string path;
};
int free_port();  // on loopback; free a moment ago
class Child {     // ended (SIGTERM, then SIGKILL) by its destructor
 public:
  // argv[0] is looked up as cli::find_program does; stdout and stderr go to `log`.
  Child(std::vector<std::string> argv, const std::string& log);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  pid_t pid() const { return pid_; }
  void kill_hard();  // kill -9, and wait

 private:
  pid_t pid_;
};
bool have_program(const std::string& name);
bool wait_for_port(int port, int timeout_ms);
}  // namespace kairo::test
