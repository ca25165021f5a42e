// agents/local/node/probe_loop.h - startup, readiness and liveness probes of one container.
// httpGet only: what asks otherwise counts as passed. Private to local/.
#pragma once
#include <memory>

#include "agents/cluster/json.h"
#include "agents/local/node/probe.h"

namespace kairo::cluster {
class ProbeLoop {  // one probe, again and again
 public:
  enum class Turn : std::uint8_t { none, passed, failed };  // a threshold was reached
  // `spec`: the probe of the container; `port`: where to ask; begun_ms: monotonic start.
  Turn step(const Json& spec, int port, std::int64_t begun_ms, const Clock& clock);
  const std::string& why() const { return why_; }  // of the last failure

 private:
  std::unique_ptr<HttpProbe> probe_;
  std::int64_t next_ms_ = 0;
  std::int64_t passes_ = 0, failures_ = 0;
  std::string why_;
};
struct ProbeSet {
  ProbeLoop startup, readiness, liveness;
  bool is_started = false, is_ready = false;
  std::int64_t begun_ms = 0;  // monotonic; 0: not yet seen
};
bool has_http_probe(const Json& container, const char* probe);
}  // namespace kairo::cluster
