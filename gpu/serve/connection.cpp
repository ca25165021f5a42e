// gpu/serve/connection.cpp - sockets with time-outs; who must go; the loop from request to request.
#include "gpu/serve/connection.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <system_error>
#include <thread>

namespace kairo::gpu {
namespace {
using std::chrono::milliseconds;
constexpr std::size_t bytes_per_second = 64 << 10;  // slower is too slow
constexpr std::size_t bytes_heard_out = 64 << 20;
constexpr milliseconds grace{100};  // a client that comes may take this long to say what it wants
constexpr milliseconds look_after{10};  // at who waits, when there are too many
thread_local Connection* current = nullptr;

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
}  // namespace

Connection::~Connection() {
  ::shutdown(socket_, SHUT_RDWR);
  ::close(socket_);
}
bool Connection::wait(short what, std::int64_t since_ms, std::int64_t until_ms) const {
  waits_for_input_ = what == POLLIN;
  waits_since_ms_ = std::max<std::int64_t>(1, since_ms);
  pollfd one{socket_, what, 0};
  int ready = 0;
  do {
    const std::int64_t left_ms = ended_ ? 0 : until_ms - clock_.monotonic_ms();
    ready = ::poll(&one, 1, static_cast<int>(std::clamp<std::int64_t>(left_ms, 0, INT_MAX)));
  } while (ready < 0 && errno == EINTR);
  waits_since_ms_ = 0;
  return ready > 0;
}
std::int64_t Connection::end_of(std::int64_t begin_ms, std::size_t bytes) const {
  return begin_ms + patience_ms_ + static_cast<std::int64_t>(bytes * 1000 / bytes_per_second);
}
bool Connection::wait_for_request(milliseconds patience) {
  const std::int64_t now_ms = clock_.monotonic_ms();
  if (taken_ == ahead_.size() && (!wait(POLLIN, now_ms, now_ms + patience.count()) || ended_))
    return false;
  begin_ms_ = clock_.monotonic_ms();
  bytes_ = ahead_.size() - taken_;
  chunks_.reset();
  return true;
}
bool Connection::is_readable() const {
  return taken_ < ahead_.size() || wait(POLLIN, begin_ms_, end_of(begin_ms_, bytes_));
}
bool Connection::has_gone() const {
  char byte = 0;
  const ssize_t got = ::recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}
bool Connection::is_writable() const {
  const std::int64_t now_ms = clock_.monotonic_ms();
  return wait(POLLOUT, now_ms, now_ms + patience_ms_) && !has_gone();
}
ssize_t Connection::read(char* into, std::size_t size) {
  if (taken_ == ahead_.size()) {
    late_ = !is_readable();
    if (is_late()) return -1;
    ahead_.resize(std::max<std::size_t>(size, 4096));
    ssize_t got = 0;
    do got = ::recv(socket_, ahead_.data(), ahead_.size(), 0);
    while (got < 0 && errno == EINTR);
    ahead_.resize(static_cast<std::size_t>(std::max<ssize_t>(0, got)));
    taken_ = 0;
    bytes_ += ahead_.size();
    if (got <= 0) return got;
  }
  const std::size_t given = std::min(size, ahead_.size() - taken_);
  std::memcpy(into, ahead_.data() + taken_, given);
  taken_ += given;
  if (chunks_ && !chunks_->take({into, given})) return -1;
  return static_cast<ssize_t>(given);
}
ssize_t Connection::write(const char* from, std::size_t size) {
  const std::int64_t begin_ms = clock_.monotonic_ms();
  std::size_t sent = 0;
  while (sent < size) {
    if (!wait(POLLOUT, begin_ms, end_of(begin_ms, sent))) return -1;
    const ssize_t now = ::send(socket_, from + sent, size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (now < 0 && errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK) return -1;
    sent += static_cast<std::size_t>(std::max<ssize_t>(0, now));
  }
  return static_cast<ssize_t>(size);
}
void Connection::hear_out() {
  ::shutdown(socket_, SHUT_WR);
  chunks_.reset();
  begin_ms_ = clock_.monotonic_ms();
  bytes_ = 0;
  std::array<char, 65536> rest{};
  while (bytes_ < bytes_heard_out && !is_late() && read(rest.data(), rest.size()) > 0) {
  }
}
void Connection::get_remote_ip_and_port(std::string& ip, int& port) const {
  name_of(socket_, &::getpeername, ip, port);
}
void Connection::get_local_ip_and_port(std::string& ip, int& port) const {
  name_of(socket_, &::getsockname, ip, port);
}
milliseconds Connection::kept_waiting() const {
  const std::int64_t since = waits_since_ms_;
  if (since == 0 || ended_) return milliseconds(0);
  return milliseconds(clock_.monotonic_ms() - since);
}
void Connection::end() {
  ended_ = true;
  // Both wake poll(); who waits for input can still be told why.
  ::shutdown(socket_, waits_for_input_ ? SHUT_RD : SHUT_RDWR);
}

// Runs the library's tasks, which hand each connection to its own thread, where they are made.
class KeepingServer::Threads final : public httplib::TaskQueue {
 public:
  explicit Threads(KeepingServer& server) : server_(server) {}
  void enqueue(std::function<void()> task) override { task(); }
  void shutdown() override { server_.wait_for_all(); }

 private:
  KeepingServer& server_;
};

KeepingServer::KeepingServer(const ConnectionLimits& limits, const Clock& clock)
    : limits_(limits), clock_(clock) {
  new_task_queue = [this] { return new Threads(*this); };
  constexpr std::size_t any_number = 1'000'000;
  set_keep_alive_max_count(any_number);  // these two: what the Keep-Alive header says
  set_keep_alive_timeout(limits.idle.count());
}
void KeepingServer::stop_all() {
  stopping_ = true;
  stop();
}
Connection& KeepingServer::connection() {
  return *current;
}
bool KeepingServer::end_longest_waiting() {
  const auto longest =
      std::max_element(open_.begin(), open_.end(), [](const Connection* a, const Connection* b) {
        return a->kept_waiting() < b->kept_waiting();
      });
  if (longest == open_.end() || (*longest)->kept_waiting() < grace) return false;
  (*longest)->end();
  return true;
}
bool KeepingServer::make_room() {
  std::unique_lock lock(mutex_);
  while (!stopping_ && open_.size() >= limits_.connections) {
    is_crowded_ = !end_longest_waiting();
    left_.wait_for(lock, look_after);
  }
  is_crowded_ = false;
  return !stopping_;
}
bool KeepingServer::process_and_close_socket(socket_t socket) {
  auto connection = std::make_unique<Connection>(socket, limits_.patience, clock_);
  if (!make_room()) return false;
  {
    const std::scoped_lock lock(mutex_);
    open_.push_back(connection.get());
  }
  try {
    std::thread([this, one = connection.get()] {
      const std::unique_ptr<Connection> mine(one);
      serve(*mine);
      leave(*mine);
    }).detach();
    static_cast<void>(connection.release());
  } catch (const std::system_error&) {  // the machine has no more threads
    leave(*connection);
    return false;
  }
  return true;
}
void KeepingServer::serve(Connection& connection) {
  current = &connection;
  bool is_fine = true, is_closed = false;
  milliseconds patience = limits_.patience;
  while (is_fine && !is_closed && !connection.is_last() && !stopping_ &&
         connection.wait_for_request(patience)) {
    is_fine = process_request(connection, false, is_closed, nullptr);
    patience = limits_.idle;
    if (is_crowded_) return;
  }
  if (connection.is_last() || !is_fine) connection.hear_out();
}
void KeepingServer::leave(const Connection& connection) {
  const std::scoped_lock lock(mutex_);
  std::erase(open_, &connection);
  left_.notify_all();
}
void KeepingServer::wait_for_all() {
  std::unique_lock lock(mutex_);
  while (!open_.empty()) {
    for (Connection* one : open_)
      if (one->waits_for_input() && one->kept_waiting() > milliseconds(0)) one->end();
    left_.wait_for(lock, look_after);
  }
}
}  // namespace kairo::gpu
