// tests/agents/local/local_process.h - the local cluster as a real process on a free port.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "agents/cluster/kube_cluster.h"
#include "tests/support/servers.h"

namespace kairo::test {
// Users: "token" (admin) and "reader" (read). Ends its process, and then the containers' processes,
// when destroyed.
class LocalProcess {
 public:
  // `program`: local_cluster_main.cpp, built; `allowed`: programs that containers may run.
  LocalProcess(std::string program, std::vector<std::string> allowed = {});
  ~LocalProcess();
  void start();
  void kill_hard();  // kill -9; start() again afterwards
  void stop();       // in order
  cluster::KubeConfig config(const std::string& user = "token") const;
  const std::string& dir() const { return dir_.path; }
  std::string log() const;

 private:
  TempDir dir_;
  const std::string program_;
  const std::vector<std::string> allowed_;
  std::unique_ptr<Child> child_;
  int port_ = 0;
};
}  // namespace kairo::test
