// agents/gateway/server.h - HTTP to the API functions. Its .cpp and upstream.cpp alone know
// cpp-httplib.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "agents/gateway/answer.h"
#include "agents/gateway/keys.h"
#include "schemas/base/result.h"

namespace kairo::gateway {
struct ServerOptions {
  std::string host = "127.0.0.1";
  int port = 0;  // 0 = any
  Keys keys;
  int threads = 128;  // a connection holds one while it is used, and keep_alive_s after
};
struct Handlers {
  std::function<Reply(const Request&)> api;   // below /v1, with a key
  std::function<Reply(const Request&)> open;  // everything that needs no key
  std::function<bool(const Request&)> is_open;
};
class HttpServer {
 public:
  virtual ~HttpServer() = default;  // ends what goes on
  virtual int port() const = 0;
};
// unavailable: the address is taken.
Result<std::unique_ptr<HttpServer>> serve_http(ServerOptions options, Handlers handlers);
// Why a request that comes from a web page is refused, where no key protects the gateway; "" = it
// is not: its Host is another than this machine's names, or its Origin is another site.
std::string page_refusal(const std::string& host, const std::string& origin);
}  // namespace kairo::gateway
