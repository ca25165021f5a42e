// tests/agents/pusher/web_fixture.h - a small web server in this process, on a free port.
#pragma once
#include <httplib.h>

#include <functional>
#include <string>
#include <thread>

#include "tests/support/servers.h"

namespace kairo::test {
class Web {
 public:
  explicit Web(const std::function<void(httplib::Server&)>& set_up) {
    set_up(server_);
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    wait_for_port(port_, 5'000);
  }
  ~Web() {
    server_.stop();
    thread_.join();
  }
  Web(const Web&) = delete;
  Web& operator=(const Web&) = delete;
  std::string url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(port_) + path;
  }

 private:
  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
};
}  // namespace kairo::test
