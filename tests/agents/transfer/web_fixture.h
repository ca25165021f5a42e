// tests/agents/transfer/web_fixture.h - a small web server in this process, on a free port.
#pragma once
#include <httplib.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "tests/support/servers.h"

namespace kairo::test {
class Web {
 public:
  // pem: a certificate for 127.0.0.1 and its key; "" = http.
  explicit Web(const std::function<void(httplib::Server&)>& set_up, const std::string& pem = "")
      : scheme_(pem.empty() ? "http" : "https") {
    if (pem.empty())
      server_ = std::make_unique<httplib::Server>();
    else
      server_ = std::make_unique<httplib::SSLServer>(pem.c_str(), pem.c_str());
    set_up(*server_);
    port_ = server_->bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_->listen_after_bind(); });
    while (!server_->is_running()) std::this_thread::yield();  // stop() works from here on
  }
  ~Web() {
    server_->stop();
    thread_.join();
  }
  Web(const Web&) = delete;
  Web& operator=(const Web&) = delete;
  std::string url(const std::string& path) const {
    return scheme_ + "://127.0.0.1:" + std::to_string(port_) + path;
  }

 private:
  const std::string scheme_;
  std::unique_ptr<httplib::Server> server_;
  int port_ = 0;
  std::thread thread_;
};
}  // namespace kairo::test
