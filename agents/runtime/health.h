// agents/runtime/health.h - /healthz, /readyz and /metrics (Prometheus text) of one agent.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "schemas/base/result.h"

namespace kairo::runtime {
struct Health {
  bool alive = true;    // the loop makes rounds
  bool acts = true;     // false: it stands by
  std::string trouble;  // why it is not ready; "" = ready
  std::string metrics;  // Prometheus text format 0.0.4
};
class HealthServer {  // its own threads; stopped by the destructor
 public:
  // probe is called for each request, from other threads.
  static Result<std::unique_ptr<HealthServer>> start(const std::string& host, int port,
                                                     std::function<Health()> probe);
  virtual ~HealthServer() = default;
  virtual int port() const = 0;
};
}  // namespace kairo::runtime
