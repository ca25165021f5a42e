// agents/local/node/probe_loop.cpp - periods and thresholds.
#include "agents/local/node/probe_loop.h"

#include <algorithm>

namespace kairo::cluster {
bool has_http_probe(const Json& container, const char* probe) {
  return at(container, {probe, "httpGet"}).is_object();
}

ProbeLoop::Turn ProbeLoop::step(const Json& spec, int port, std::int64_t begun_ms,
                                const Clock& clock) {
  const std::int64_t now = clock.monotonic_ms();
  if (!probe_) {
    const std::int64_t first = begun_ms + integer(spec, {"initialDelaySeconds"}) * 1000;
    if (now < std::max(first, next_ms_)) return Turn::none;
    const std::string path = text(spec, {"httpGet", "path"});
    const std::int64_t timeout = std::max<std::int64_t>(integer(spec, {"timeoutSeconds"}, 1), 1);
    probe_ = std::make_unique<HttpProbe>(port, path.empty() ? "/" : path, timeout * 1000, clock);
  }
  const HttpProbe::Outcome outcome = probe_->poll();
  if (outcome == HttpProbe::Outcome::pending) return Turn::none;
  if (outcome == HttpProbe::Outcome::failed) why_ = probe_->why();
  probe_.reset();
  next_ms_ = now + std::max<std::int64_t>(integer(spec, {"periodSeconds"}, 10), 1) * 1000;
  if (outcome == HttpProbe::Outcome::succeeded) {
    failures_ = 0;
    return ++passes_ >= integer(spec, {"successThreshold"}, 1) ? Turn::passed : Turn::none;
  }
  passes_ = 0;
  return ++failures_ >= integer(spec, {"failureThreshold"}, 3) ? Turn::failed : Turn::none;
}
}  // namespace kairo::cluster
