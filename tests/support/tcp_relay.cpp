// tests/support/tcp_relay.cpp - a thread per connection.
#include "tests/support/tcp_relay.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace kairo::test {
namespace {
sockaddr_in relay_address(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return address;
}
// The port of "CONNECT host:port HTTP/1.1", after the whole head was read and answered.
int accept_connect(int client) {
  std::string head;
  char byte = 0;
  while (!head.ends_with("\r\n\r\n") && read(client, &byte, 1) == 1) head += byte;
  const std::size_t colon = head.find(':');
  if (!head.starts_with("CONNECT ") || colon == std::string::npos) return 0;
  const std::string yes = "HTTP/1.1 200 Connection established\r\n\r\n";
  if (send(client, yes.data(), yes.size(), MSG_NOSIGNAL) < 0) return 0;
  return std::atoi(head.c_str() + colon + 1);
}
}  // namespace

TcpRelay::TcpRelay(int to_port) : to_port_(to_port), listener_(socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address = relay_address(0);
  bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address);
  listen(listener_, 16);
  socklen_t size = sizeof address;
  getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  accepting_ = std::thread([this] {
    while (!is_ending_) {
      pollfd ready{listener_, POLLIN, 0};
      if (poll(&ready, 1, 50) <= 0) continue;
      const int client = accept(listener_, nullptr, nullptr);
      if (client < 0) continue;
      ++connections_;
      const std::lock_guard lock(mutex_);
      threads_.emplace_back([this, client] { serve(client); });
    }
  });
}
TcpRelay::~TcpRelay() {
  is_ending_ = true;
  accepting_.join();
  for (std::thread& thread : threads_) thread.join();
  close(listener_);
}

void TcpRelay::serve(int client) {
  const int port = to_port_ != 0 ? to_port_ : accept_connect(client);
  const int server = socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in address = relay_address(port);
  const bool is_connected =
      connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  for (bool is_open = is_connected; is_open && !is_ending_;) {
    pollfd ready[2] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
    if (poll(ready, 2, 50) <= 0) continue;
    for (int i = 0; i < 2 && is_open; ++i) {
      if (ready[i].revents == 0) continue;
      char bytes[65536];
      const ssize_t count = read(ready[i].fd, bytes, sizeof bytes);
      is_open = count > 0;
      if (is_open && !is_silent_)
        is_open = send(ready[1 - i].fd, bytes, static_cast<std::size_t>(count), MSG_NOSIGNAL) >= 0;
    }
    if (!is_open && is_silent_)  // the other end is not told
      while (!is_ending_) usleep(20'000);
  }
  close(server);
  close(client);
}
}  // namespace kairo::test
