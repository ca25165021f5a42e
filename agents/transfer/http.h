// agents/transfer/http.h - HTTP/1.1 with streamed bodies, one request at a time, redirects not
// followed.
//
// An answer of any status is a value. unavailable: no complete answer came (a write may have
// happened). invalid: the address may not be reached, or the URL is none. conflict: stopped.
// 10 s to connect; a transfer that stands still for 60 s is over. Private to pusher/.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agents/transfer/url.h"
#include "schemas/base/result.h"

namespace kairo::transfer {
// Which addresses may be connected to, judged after the name was resolved. `internet` leaves out
// loopback, private, link-local (metadata), multicast and reserved ones.
enum class Reach : std::uint8_t { anywhere, internet, internet_or_loopback, internet_or_private };
struct HttpAnswer {
  int status = 0;
  std::map<std::string, std::vector<std::string>> headers;  // names in lower case
  std::string body;
  std::uint64_t sent = 0;                                   // bytes of the request's body
  std::string header(const std::string& lower_name) const;  // the first; "" = absent
};
struct HttpCall {
  std::string method = "GET";
  Url url;
  std::vector<std::string> headers;  // "Name: value"
  std::string body;                  // sent when `source` is empty
  // Streamed body: fills the buffer from `offset` on; may be asked again from 0.
  std::function<Result<std::size_t>(std::uint64_t offset, char* into, std::size_t size)> source;
  std::uint64_t source_bytes = 0;
  std::function<void(std::uint64_t sent)> on_sent;  // bytes of this body so far
  // Sees status and headers before the first byte of a body; an error ends the request.
  std::function<Status(const HttpAnswer& answer)> on_headers;
  // Gets the bytes of a 200 or 206 answer; without it they are collected like any other answer's.
  std::function<Status(int status, std::string_view bytes)> sink;
  std::size_t body_bytes_max = 4 << 20;  // of a collected answer
  Reach reach = Reach::anywhere;
};
class Http {  // keeps its connections; one thread
 public:
  // ca_file: PEM, "" = the system's. stop: becomes true to give up; may be null.
  Http(std::string ca_file, const std::atomic<bool>* stop);
  ~Http();
  Http(const Http&) = delete;
  Http& operator=(const Http&) = delete;
  Result<HttpAnswer> perform(const HttpCall& call);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};
}  // namespace kairo::transfer
