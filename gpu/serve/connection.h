// gpu/serve/connection.h - cpp-httplib's server over connections of our own: kept open as long as
// their clients like, closed when a stop or a waiting client needs them.
#pragma once
#include <httplib.h>

#include <atomic>
#include <chrono>
#include <string>

namespace kairo::gpu {
// One client; one thread. Bytes that came beside a request stay for the next one.
class Connection final : public httplib::Stream {
 public:
  explicit Connection(socket_t socket) : socket_(socket) {}
  bool is_readable() const override;
  bool is_writable() const override;  // false too when the client has gone
  ssize_t read(char* into, std::size_t size) override;
  ssize_t write(const char* from, std::size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  socket_t socket() const override { return socket_; }
  bool has_gone() const;  // it has closed its side and sends nothing more
  bool has_input(std::chrono::milliseconds patience) const;
  void close_after_reply() { is_last_ = true; }  // what it sent was not read to its end
  bool is_last() const { return is_last_; }

 private:
  socket_t socket_;
  std::string ahead_;  // read, not yet taken
  std::size_t taken_ = 0;
  bool is_last_ = false;
};
class KeepingServer final : public httplib::Server {
 public:
  // threads: connections that are served at a time. An idle one is closed after `idle`, or as soon
  // as another client waits for its thread.
  KeepingServer(std::size_t threads, std::chrono::seconds idle);
  void stop_all();  // idle connections too
  // Of the request that this thread handles.
  static Connection& connection();

 private:
  bool process_and_close_socket(socket_t socket) override;
  bool wait_for_request(const Connection& connection, bool is_first) const;
  const std::chrono::milliseconds idle_;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> waiting_ = 0;  // connections that have no thread yet
};
}  // namespace kairo::gpu
