// agents/local/node/forwarder.cpp - poll, accept, copy.
#include "agents/local/node/forwarder.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <list>
#include <vector>

#include "schemas/base/assert.h"

namespace kairo::cluster {
namespace {
constexpr std::size_t connections_max = 256, buffer_max = 64 << 10;

sockaddr_in loopback(int port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(static_cast<std::uint16_t>(port));
  out.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return out;
}
int new_socket() {
  return socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}
int listen_on(int port) {  // -1: taken
  const int fd = new_socket();
  const int yes = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const sockaddr_in address = loopback(port);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      listen(fd, 64) == 0)
    return fd;
  close(fd);
  return -1;
}
int port_of(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

struct Pipe {  // one direction
  std::string bytes;
  bool is_closed = false;  // the source ended; what is left still goes out
  bool is_shut = false;    // and the sink was told
};
struct Connection {
  int fds[2];
  Pipe pipes[2];  // pipes[i]: from fds[i] to the other
  bool is_broken = false;
};
bool is_temporary() {
  return errno == EAGAIN || errno == EINTR || errno == ENOTCONN;
}

void read_some(Connection& c, int side) {
  Pipe& pipe = c.pipes[side];
  char bytes[16 << 10];
  while (!pipe.is_closed && pipe.bytes.size() < buffer_max) {
    const ssize_t got = recv(c.fds[side], bytes, sizeof bytes, 0);
    if (got > 0) {
      pipe.bytes.append(bytes, static_cast<std::size_t>(got));
    } else if (got == 0) {
      pipe.is_closed = true;
    } else {
      c.is_broken = c.is_broken || !is_temporary();
      return;
    }
  }
}
void write_some(Connection& c, int side) {
  Pipe& pipe = c.pipes[side];
  const int sink = c.fds[1 - side];
  while (!pipe.bytes.empty()) {
    const ssize_t sent = send(sink, pipe.bytes.data(), pipe.bytes.size(), MSG_NOSIGNAL);
    if (sent < 0) {
      c.is_broken = c.is_broken || !is_temporary();
      return;
    }
    pipe.bytes.erase(0, static_cast<std::size_t>(sent));
  }
  if (pipe.is_closed && !pipe.is_shut) {
    shutdown(sink, SHUT_WR);
    pipe.is_shut = true;
  }
}
short interest(const Connection& c, int side) {
  const Pipe &from = c.pipes[side], &to = c.pipes[1 - side];
  const bool reads = !from.is_closed && from.bytes.size() < buffer_max;
  return static_cast<short>((reads ? POLLIN : 0) | (to.bytes.empty() ? 0 : POLLOUT));
}
void accept_one(int listener, int target, std::list<Connection>& connections) {
  const int in = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (in < 0) return;
  const int out = target > 0 ? new_socket() : -1;
  const sockaddr_in address = loopback(target);
  if (out < 0 || (connect(out, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
                  errno != EINPROGRESS)) {
    close(in);
    if (out >= 0) close(out);
    return;
  }
  const int yes = 1;
  for (const int fd : {in, out}) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  connections.push_back({{in, out}, {}, false});
}
}  // namespace

Forwarder::Forwarder() {
  KAIRO_ASSERT(pipe2(wake_, O_NONBLOCK | O_CLOEXEC) == 0, "a pipe can be made");
  thread_ = std::thread([this] { run(); });
}
Forwarder::~Forwarder() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  wake();
  thread_.join();
  for (const auto& [key, listener] : listeners_) close(listener.fd);
  for (const int fd : wake_) close(fd);
}
void Forwarder::wake() const {
  if (write(wake_[1], "w", 1) < 0) {
  }  // full: it wakes anyway
}

Result<int> Forwarder::forward(const std::string& key, int wanted_port, int target_port) {
  const std::lock_guard lock(mutex_);
  const auto found = listeners_.find(key);
  if (found != listeners_.end()) {
    found->second.target = target_port;
    return found->second.port;
  }
  int fd = wanted_port > 0 ? listen_on(wanted_port) : -1;
  if (fd < 0) fd = listen_on(0);
  if (fd < 0)
    return Error{Code::unavailable,
                 "no free loopback port for " + key + ": " + std::strerror(errno)};
  const int port = port_of(fd);
  listeners_[key] = {fd, port, target_port};
  wake();
  return port;
}
void Forwarder::stop(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto found = listeners_.find(key);
  if (found == listeners_.end()) return;
  close(found->second.fd);
  listeners_.erase(found);
  wake();
}
std::vector<std::string> Forwarder::keys() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  for (const auto& [key, listener] : listeners_) out.push_back(key);
  return out;
}

void Forwarder::run() {
  std::list<Connection> connections;
  for (;;) {
    std::vector<pollfd> fds{{wake_[0], POLLIN, 0}};
    for (const Connection& c : connections)
      for (const int side : {0, 1}) fds.push_back({c.fds[side], interest(c, side), 0});
    {
      const std::lock_guard lock(mutex_);
      if (is_stopping_) break;
      if (connections.size() < connections_max)
        for (const auto& [key, l] : listeners_) fds.push_back({l.fd, POLLIN, 0});
    }
    poll(fds.data(), fds.size(), -1);
    char drained[64];
    while (read(wake_[0], drained, sizeof drained) > 0) {
    }
    std::size_t at = 1;
    for (Connection& c : connections) {
      for (const int side : {0, 1}) {
        const short seen = fds[at++].revents;
        if ((seen & (POLLIN | POLLHUP | POLLERR)) != 0) read_some(c, side);
        if ((seen & POLLERR) != 0) c.is_broken = true;
      }
      for (const int side : {0, 1}) write_some(c, side);
    }
    connections.remove_if([](const Connection& c) {
      const bool is_over = c.is_broken || (c.pipes[0].is_shut && c.pipes[1].is_shut);
      if (is_over)
        for (const int fd : c.fds) close(fd);
      return is_over;
    });
    const std::lock_guard lock(mutex_);  // a listener may have gone: ask all that are there
    for (const auto& [key, l] : listeners_)
      if (connections.size() < connections_max) accept_one(l.fd, l.target, connections);
  }
  for (const Connection& c : connections)
    for (const int fd : c.fds) close(fd);
}
}  // namespace kairo::cluster
