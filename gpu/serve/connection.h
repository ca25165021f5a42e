// gpu/serve/connection.h - cpp-httplib's server over connections of our own: a thread each, kept as
// long as their clients like. When there are too many, the one whose client has kept it waiting
// longest ends, so that a slow client never keeps another one from being heard.
#pragma once
#include <httplib.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gpu/serve/chunks.h"
#include "gpu/serve/connection_limits.h"
#include "schemas/base/clock.h"

namespace kairo::gpu {
// One client; one thread, but for what is said below. Bytes that came beside a request stay for
// the next one.
class Connection final : public httplib::Stream {
 public:
  Connection(socket_t socket, std::chrono::milliseconds patience, const Clock& clock)
      : socket_(socket), patience_ms_(patience.count()), clock_(clock) {}
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  bool is_readable() const override;
  bool is_writable() const override;  // false too when the client has gone
  // -1 too when the request comes too slowly, or in chunks that are none.
  ssize_t read(char* into, std::size_t size) override;
  ssize_t write(const char* from, std::size_t size) override;  // all, or -1
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  socket_t socket() const override { return socket_; }

  bool wait_for_request(std::chrono::milliseconds patience);
  void expect_chunks() { chunks_ = std::make_unique<ChunkCheck>(); }  // for this request's body
  bool has_gone() const;  // it has closed its side and sends nothing more
  bool is_late() const { return late_ || ended_; }
  std::string wrong_chunk() const { return chunks_ ? chunks_->wrong() : ""; }
  void close_after_reply() { is_last_ = true; }  // what it sent was not read to its end
  bool is_last() const { return is_last_; }
  // After the last reply: the rest of what it sends, up to a limit. A socket that is closed with
  // bytes unread is reset, and the client may never see the reply.
  void hear_out();

  // Any thread. How long its client has kept it waiting; 0: it waits for none, or has been ended.
  std::chrono::milliseconds kept_waiting() const;
  bool waits_for_input() const { return waits_for_input_; }
  void end();  // what it waits for comes no more

 private:
  // Until the socket is ready; since: from when on the client has kept it waiting. Monotonic.
  bool wait(short what, std::int64_t since_ms, std::int64_t until_ms) const;
  std::int64_t end_of(std::int64_t begin_ms, std::size_t bytes) const;
  const socket_t socket_;
  const std::int64_t patience_ms_;
  const Clock& clock_;
  std::string ahead_;  // read, not yet taken
  std::size_t taken_ = 0;
  std::int64_t begin_ms_ = 0;  // of this request
  std::size_t bytes_ = 0;      // that came for it
  std::unique_ptr<ChunkCheck> chunks_;
  bool is_last_ = false;
  bool late_ = false;
  mutable std::atomic<std::int64_t> waits_since_ms_ = 0;  // 0: does not
  mutable std::atomic<bool> waits_for_input_ = false;
  std::atomic<bool> ended_ = false;
};

class KeepingServer final : public httplib::Server {
 public:
  KeepingServer(const ConnectionLimits& limits, const Clock& clock);  // which must outlive it
  void stop_all();  // connections that wait for a request too
  // Of the request that this thread handles.
  static Connection& connection();

 private:
  class Threads;
  bool process_and_close_socket(socket_t socket) override;
  bool make_room();            // false: it stops
  bool end_longest_waiting();  // false: none waits for its client
  void serve(Connection& connection);
  void leave(const Connection& connection);
  void wait_for_all();
  const ConnectionLimits limits_;
  const Clock& clock_;
  std::atomic<bool> stopping_ = false;
  // Somebody waits for a place and nobody for a client: an answered request is the last one.
  std::atomic<bool> is_crowded_ = false;
  std::mutex mutex_;
  std::condition_variable left_;
  std::vector<Connection*> open_;
};
}  // namespace kairo::gpu
