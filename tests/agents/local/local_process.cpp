// tests/agents/local/local_process.cpp - start, kill -9, start again.
#include "tests/agents/local/local_process.h"

#include <sys/stat.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace kairo::test {
namespace fs = std::filesystem;
namespace {
const std::string token = "0123456789abcdef0123456789abcdef";
void write_private(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
  if (chmod(path.c_str(), 0600) != 0) throw std::runtime_error(path + " cannot be made private");
}
}  // namespace

LocalProcess::LocalProcess(std::string program, std::vector<std::string> allowed)
    : program_(std::move(program)), allowed_(std::move(allowed)) {
  write_private(dir_.path + "/tokens", token + " cli admin\n" + token + "2 reader read\n");
  write_private(dir_.path + "/token", token + "\n");
  write_private(dir_.path + "/reader", token + "2\n");
  start();
}
LocalProcess::~LocalProcess() {
  child_.reset();
  // Containers outlive the cluster by design; a test's must not outlive the test.
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(dir_.path + "/state/pods", error)) {
    int pid = 0;
    const bool is_over = fs::exists(entry.path().parent_path() / "exit");
    if (entry.path().filename() == "pid" && !is_over && std::ifstream(entry.path()) >> pid &&
        pid > 1)
      kill(-pid, SIGKILL);
  }
}
void LocalProcess::start() {
  fs::remove(dir_.path + "/port");
  std::vector<std::string> argv{program_, dir_.path};
  argv.insert(argv.end(), allowed_.begin(), allowed_.end());
  child_ = std::make_unique<Child>(argv, dir_.path + "/log");
  port_ = 0;
  for (int i = 0; i < 1500 && port_ == 0; ++i) {
    std::ifstream(dir_.path + "/port") >> port_;
    if (port_ == 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  if (port_ == 0) throw std::runtime_error("the local cluster did not start: " + log());
}
void LocalProcess::kill_hard() {
  child_->kill_hard();
}
void LocalProcess::stop() {
  child_.reset();
}
cluster::KubeConfig LocalProcess::config(const std::string& user) const {
  return {"http://127.0.0.1:" + std::to_string(port_), dir_.path + "/" + user, ""};
}
std::string LocalProcess::log() const {
  std::ostringstream out;
  out << std::ifstream(dir_.path + "/log").rdbuf();
  return out.str();
}
}  // namespace kairo::test
