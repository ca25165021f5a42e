// agents/cluster/watch_stream.h - one open watch: chunked JSON lines to events. Private to
// cluster/.
#pragma once
#include <memory>

#include "agents/cluster/cluster.h"
#include "agents/cluster/http.h"
#include "schemas/base/clock.h"

namespace kairo::cluster {
class WatchStream {  // one thread at a time
 public:
  WatchStream(const HttpRequest& request, std::string version, const Clock& clock);
  // Events that came within wait_ms. Empty: none, or the stream has ended. expired: list again.
  // unavailable: it broke, or ended so soon that the caller should wait before the next.
  Result<std::vector<Event>> next(std::int64_t wait_ms);
  const std::string& version() const { return version_; }  // of the last event handed out
  bool is_open() const { return is_open_; }
  int status() const { return stream_.status(); }  // 0 before the answer began
  std::int64_t retry_after_s() const { return stream_.retry_after_s(); }

 private:
  Result<std::vector<Event>> parse_lines();
  Result<std::vector<Event>> ended();
  HttpStream stream_;
  const bool has_proxy_;
  const Clock& clock_;
  std::string version_;
  const std::int64_t opened_ms_;
  std::int64_t heard_ms_;
  bool is_open_ = true, has_bookmarks_ = false, has_events_ = false;
};
constexpr int watch_timeout_s = 290;  // asked of the server
}  // namespace kairo::cluster
