// tests/support/tcp_relay.h - a relay on loopback in front of a server, that a test can make go
// silent: to both ends it is then as if the other were gone without a word.
#pragma once
#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

namespace kairo::test {
class TcpRelay {
 public:
  // to_port 0: an HTTP proxy, which goes where CONNECT says.
  explicit TcpRelay(int to_port);
  ~TcpRelay();
  TcpRelay(const TcpRelay&) = delete;
  TcpRelay& operator=(const TcpRelay&) = delete;
  int port() const { return port_; }
  int connections() const { return connections_; }  // so far
  void be_silent() { is_silent_ = true; }           // nothing is passed on any more

 private:
  void serve(int client);
  const int to_port_;
  int listener_ = -1, port_ = 0;
  std::atomic<int> connections_{0};
  std::atomic<bool> is_silent_{false}, is_ending_{false};
  std::mutex mutex_;
  std::vector<std::thread> threads_;  // of connections; guarded by mutex_
  std::thread accepting_;
};
}  // namespace kairo::test
