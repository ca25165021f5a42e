// gpu/serve/caller.h - whether the client of a request is still there. httplib says so only to
// those who write to it, and who waits for an answer writes nothing.
#pragma once
#include <string>

namespace kairo::gpu {
// One client's connection, found by its address among this process's sockets; not owned. To be used
// while the connection's request is being handled, by one thread.
class Caller {
 public:
  Caller(const std::string& address, int port);
  bool has_gone() const;  // it has closed its side; false where the connection was not found

 private:
  int socket_ = -1;
};
}  // namespace kairo::gpu
