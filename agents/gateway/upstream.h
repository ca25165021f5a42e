// agents/gateway/upstream.h - asks a model's server; connections are kept. Knows cpp-httplib.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::gateway {
struct UpstreamHead {
  int status = 0;
  std::string type, retry_after;
};
class Upstream {  // thread-safe
 public:
  Upstream();
  ~Upstream();
  // POST of JSON. on_head comes before the first piece; false from either ends it. unavailable: no
  // whole answer came (`what` says why). A server that thinks may be silent for ten minutes.
  Status post(const std::string& address, const std::string& path, const std::string& body,
              const std::function<bool(const UpstreamHead&)>& on_head,
              const std::function<bool(std::string_view)>& on_bytes);

 private:
  struct Connection;
  std::unique_ptr<Connection> take(const std::string& address);
  std::mutex mutex_;
  std::map<std::string, std::vector<std::unique_ptr<Connection>>> idle_;  // guarded by mutex_
};
}  // namespace kairo::gateway
