// agents/local/node/probe.cpp - a non-blocking socket, read up to the status line.
#include "agents/local/node/probe.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace kairo::cluster {
HttpProbe::HttpProbe(int port, const std::string& path, std::int64_t timeout_ms, const Clock& clock)
    : clock_(clock),
      deadline_ms_(clock.monotonic_ms() + timeout_ms),
      fd_(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)),
      request_("GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(port) +
               "\r\nUser-Agent: kube-probe/1.34\r\nAccept: */*\r\nConnection: close\r\n\r\n") {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd_ < 0 || (connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
                  errno != EINPROGRESS))
    why_ = std::string("connect: ") + std::strerror(errno);
}
HttpProbe::~HttpProbe() {
  if (fd_ >= 0) close(fd_);
}
HttpProbe::Outcome HttpProbe::fail(const std::string& why) {
  why_ = why;
  return Outcome::failed;
}

HttpProbe::Outcome HttpProbe::poll() {
  if (!why_.empty()) return Outcome::failed;
  while (!request_.empty()) {
    const ssize_t sent = send(fd_, request_.data(), request_.size(), MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == ENOTCONN || errno == EINTR)) break;
    if (sent < 0) return fail(std::string("connect: ") + std::strerror(errno));
    request_.erase(0, static_cast<std::size_t>(sent));
  }
  char bytes[64];
  ssize_t got = 0;
  while (request_.empty() && reply_.size() < 64 && (got = recv(fd_, bytes, sizeof bytes, 0)) > 0)
    reply_.append(bytes, static_cast<std::size_t>(got));
  if (reply_.size() >= 12) {  // "HTTP/1.1 200"
    const std::string status = reply_.substr(9, 3);
    if (status >= "200" && status < "400") return Outcome::succeeded;
    return fail("HTTP probe failed with statuscode: " + status);
  }
  const bool is_waiting = errno == EAGAIN || errno == ENOTCONN || errno == EINTR;
  if (request_.empty() && (got == 0 || !is_waiting)) return fail("the connection was closed");
  if (clock_.monotonic_ms() >= deadline_ms_) return fail("no answer in time");
  return Outcome::pending;
}
}  // namespace kairo::cluster
