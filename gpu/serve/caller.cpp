// gpu/serve/caller.cpp - /proc/self/fd and a peek at the socket.
#include "gpu/serve/caller.h"

#include <netdb.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <filesystem>

namespace kairo::gpu {
namespace {
// "address port" of the other end; "": not a connected socket.
std::string peer_of(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (::getpeername(fd, any, &size) != 0) return "";
  char host[NI_MAXHOST], port[NI_MAXSERV];
  if (::getnameinfo(any, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return "";
  return std::string(host) + " " + port;
}
}  // namespace

Caller::Caller(const std::string& address, int port) {
  const std::string wanted = address + " " + std::to_string(port);
  std::error_code error;
  for (std::filesystem::directory_iterator at("/proc/self/fd", error), end; !error && at != end;
       at.increment(error)) {
    const std::string name = at->path().filename().string();
    int fd = -1;
    std::from_chars(name.data(), name.data() + name.size(), fd);
    if (fd >= 0 && peer_of(fd) == wanted) {
      socket_ = fd;
      return;
    }
  }
}

bool Caller::has_gone() const {
  char byte = 0;
  if (socket_ < 0) return false;
  const ssize_t got = ::recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}
}  // namespace kairo::gpu
