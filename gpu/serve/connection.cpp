// gpu/serve/connection.cpp - sockets with time-outs; the loop from request to request.
#include "gpu/serve/connection.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace kairo::gpu {
namespace {
constexpr std::chrono::milliseconds transfer_patience{10'000};  // for the next bytes of a transfer
constexpr std::chrono::milliseconds look_after{50};             // at what may end an idle wait
thread_local Connection* current = nullptr;

bool is_ready(socket_t socket, short what, std::chrono::milliseconds patience) {
  pollfd one{socket, what, 0};
  int ready = 0;
  do ready = ::poll(&one, 1, static_cast<int>(patience.count()));
  while (ready < 0 && errno == EINTR);
  return ready > 0;
}
using AddressOf = int (*)(int, sockaddr*, socklen_t*);
void name_of(socket_t socket, AddressOf address_of, std::string& ip, int& port) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> service{};
  if (address_of(socket, any, &size) != 0 ||
      ::getnameinfo(any, size, host.data(), host.size(), service.data(), service.size(),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return;
  ip = host.data();
  port = std::atoi(service.data());
}
// Counts the connections that wait for a thread.
class CountingPool final : public httplib::TaskQueue {
 public:
  CountingPool(std::size_t threads, std::atomic<int>& waiting)
      : pool_(threads), waiting_(waiting) {}
  void enqueue(std::function<void()> task) override {
    ++waiting_;
    pool_.enqueue([this, task = std::move(task)] {
      --waiting_;
      task();
    });
  }
  void shutdown() override { pool_.shutdown(); }

 private:
  httplib::ThreadPool pool_;
  std::atomic<int>& waiting_;
};
}  // namespace

bool Connection::has_input(std::chrono::milliseconds patience) const {
  return taken_ < ahead_.size() || is_ready(socket_, POLLIN, patience);
}
bool Connection::is_readable() const {
  return has_input(transfer_patience);
}
bool Connection::has_gone() const {
  char byte = 0;
  const ssize_t got = ::recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}
bool Connection::is_writable() const {
  return is_ready(socket_, POLLOUT, transfer_patience) && !has_gone();
}
ssize_t Connection::read(char* into, std::size_t size) {
  if (taken_ == ahead_.size()) {
    if (!is_readable()) return -1;
    ahead_.resize(std::max<std::size_t>(size, 4096));
    ssize_t got = 0;
    do got = ::recv(socket_, ahead_.data(), ahead_.size(), 0);
    while (got < 0 && errno == EINTR);
    ahead_.resize(static_cast<std::size_t>(std::max<ssize_t>(0, got)));
    taken_ = 0;
    if (got <= 0) return got;
  }
  const std::size_t given = std::min(size, ahead_.size() - taken_);
  std::memcpy(into, ahead_.data() + taken_, given);
  taken_ += given;
  return static_cast<ssize_t>(given);
}
ssize_t Connection::write(const char* from, std::size_t size) {
  if (!is_ready(socket_, POLLOUT, transfer_patience)) return -1;
  ssize_t sent = 0;
  do sent = ::send(socket_, from, size, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent;
}
void Connection::get_remote_ip_and_port(std::string& ip, int& port) const {
  name_of(socket_, &::getpeername, ip, port);
}
void Connection::get_local_ip_and_port(std::string& ip, int& port) const {
  name_of(socket_, &::getsockname, ip, port);
}

KeepingServer::KeepingServer(std::size_t threads, std::chrono::seconds idle) : idle_(idle) {
  new_task_queue = [this, threads] { return new CountingPool(threads, waiting_); };
  constexpr std::size_t any_number = 1'000'000;
  set_keep_alive_max_count(any_number);  // these two: what the Keep-Alive header says
  set_keep_alive_timeout(idle.count());
}
void KeepingServer::stop_all() {
  stopping_ = true;
  stop();
}
Connection& KeepingServer::connection() {
  return *current;
}
bool KeepingServer::wait_for_request(const Connection& connection, bool is_first) const {
  for (auto left = is_first ? transfer_patience : idle_; left.count() > 0; left -= look_after) {
    if (connection.has_input(look_after)) return true;
    if (stopping_ || (!is_first && waiting_ > 0)) return false;
  }
  return false;
}
bool KeepingServer::process_and_close_socket(socket_t socket) {
  Connection connection(socket);
  current = &connection;
  bool is_fine = true, is_closed = false;
  for (bool is_first = true; is_fine && !is_closed && !connection.is_last() && !stopping_ &&
                             wait_for_request(connection, is_first);
       is_first = false)
    is_fine = process_request(connection, false, is_closed, nullptr);
  current = nullptr;
  ::shutdown(socket, SHUT_RDWR);
  ::close(socket);
  return is_fine;
}
}  // namespace kairo::gpu
