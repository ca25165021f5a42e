// agents/cluster/http.h - HTTP/1.1 requests with reused connections, and one streaming response.
//
// Replies of any status are values; unavailable: no complete answer came (then a write may have
// happened), or it was larger than allowed. Timeouts: 5 s to connect, `timeout_ms` in all; dead
// connections are noticed by TCP keep-alive. Proxies of the environment are not used.
// Private to cluster/.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::cluster {
struct HttpRequest {
  std::string method = "GET", url, body;
  std::vector<std::string> headers;  // "Name: value"
  std::int64_t timeout_ms = 30'000;
  std::size_t reply_bytes_max = 64 << 20;
  // A tail of a growing text: drop the first `skip_bytes` unless the reply has the header
  // `skipped_by`, and end quietly after reply_bytes_max.
  std::uint64_t skip_bytes = 0;
  std::string skipped_by;
};
struct HttpReply {
  int status = 0;
  std::string body;
};
class HttpClient {  // thread-safe
 public:
  explicit HttpClient(std::string ca_file);  // PEM; "" = the system's
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;
  Result<HttpReply> perform(const HttpRequest& request);

 private:
  const std::string ca_file_;
  std::mutex mutex_;
  std::vector<void*> idle_;  // CURL handles with their connections; guarded by mutex_
};

class HttpStream {  // one thread at a time
 public:
  HttpStream(const HttpRequest& request, const std::string& ca_file);
  ~HttpStream();
  HttpStream(const HttpStream&) = delete;
  HttpStream& operator=(const HttpStream&) = delete;
  // Waits until bytes came or the stream ended, wait_ms at the longest. unavailable: it broke.
  Status poll(std::int64_t wait_ms);
  int status() const;     // 0 before the headers came
  bool is_ended() const;  // by the server, in order
  std::string& buffer();  // unread bytes; the reader takes them out. Bounded: 8 MiB

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};
std::string percent_encoded(const std::string& text);
}  // namespace kairo::cluster
