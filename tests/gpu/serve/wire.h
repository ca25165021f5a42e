// tests/gpu/serve/wire.h - a connection that is written and read by hand.
#pragma once
#include "tests/gpu/serve/server_bench.h"

namespace kairo::gpu::test {
class Wire {
 public:
  explicit Wire(const Bench& bench) : fd_(bench.connected_and_sent("")) {
    const timeval patience{30, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  ~Wire() { ::close(fd_); }
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;
  // Whatever becomes of it.
  void trickle(char byte) const { static_cast<void>(::send(fd_, &byte, 1, MSG_NOSIGNAL)); }
  void hang_up() const { ::shutdown(fd_, SHUT_RDWR); }
  void send_until_ended(const std::string& text) const {
    for (std::size_t sent = 0; sent < text.size();) {
      const ssize_t now = ::send(fd_, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (now <= 0) return;
      sent += static_cast<std::size_t>(now);
    }
  }
  void send(const std::string& text) const {
    REQUIRE(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(text.size()));
  }
  // The next reply with a Content-Length; "" when the connection has ended.
  std::string reply() {
    while (!Bench::is_complete(read_) && more()) {
    }
    if (!Bench::is_complete(read_)) return "";
    const std::size_t at = read_.find("Content-Length: ");
    const std::size_t end = read_.find("\r\n\r\n") + 4 + std::stoul(read_.substr(at + 16));
    std::string out = read_.substr(0, end);
    read_.erase(0, end);
    return out;
  }
  std::string rest() {  // until the other side closes
    while (more()) {
    }
    return read_;
  }

 private:
  bool more() {
    std::string buffer(4096, '\0');
    const ssize_t got = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (got > 0) read_.append(buffer, 0, static_cast<std::size_t>(got));
    return got > 0;
  }
  int fd_;
  std::string read_;
};
inline const std::string get_version = "GET /version HTTP/1.1\r\nHost: x\r\n\r\n";
inline std::string post(const std::string& path, const std::string& body) {
  return "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}
}  // namespace kairo::gpu::test
