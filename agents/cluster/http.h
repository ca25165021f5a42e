// agents/cluster/http.h - HTTP/1.1 requests with reused connections, and one streaming response.
//
// Replies of any status are values; unavailable: no complete answer came (then a write may have
// happened), or it was larger than allowed. Timeouts: 5 s to connect, `timeout_ms` in all. A peer
// that is gone without a word is found within half_open_ms: TCP asks an idle connection, and bytes
// that nobody acknowledges end it. Of the environment nothing is used.
// Private to cluster/.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::cluster {
constexpr std::int64_t half_open_ms = 30'000;
struct HttpPeer {         // with whom, and as whom, a connection is made; PEM texts
  std::string ca;         // "" = the system's
  std::string cert, key;  // "" = without a client certificate
  std::string server_name;
  std::string proxy;
  bool is_insecure = false;
};
struct HttpRequest {
  std::string method = "GET", url, body;
  std::vector<std::string> headers;  // "Name: value"
  std::int64_t timeout_ms = 30'000;
  std::size_t reply_bytes_max = 64 << 20;
  // A tail of a growing text: drop the first `skip_bytes` unless the reply has the header
  // `skipped_by`, and end quietly after reply_bytes_max.
  std::uint64_t skip_bytes = 0;
  std::string skipped_by;
  std::shared_ptr<const HttpPeer> peer;  // null = the client's own
  bool is_fresh = false;                 // over a connection of its own
};
struct HttpReply {
  int status = 0;
  std::string body;
  std::int64_t retry_after_s = -1;  // -1 = the server says nothing
  bool is_skipped = false;          // it had the header `skipped_by`
};
class HttpClient {  // thread-safe
 public:
  explicit HttpClient(const std::string& ca_file = "");  // PEM; "" = the system's
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
  explicit HttpStream(const HttpRequest& request);
  ~HttpStream();
  HttpStream(const HttpStream&) = delete;
  HttpStream& operator=(const HttpStream&) = delete;
  // Waits until bytes came or the stream ended, wait_ms at the longest. unavailable: it broke.
  Status poll(std::int64_t wait_ms);
  int status() const;                  // 0 before the headers came
  std::int64_t retry_after_s() const;  // as in HttpReply
  bool is_ended() const;               // by the server, in order
  std::string& buffer();               // unread bytes; the reader takes them out. Bounded: 8 MiB

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};
std::string percent_encoded(const std::string& text);
}  // namespace kairo::cluster
