// agents/runtime/service.h - an agent as a process: the loop, its relay workers, health and
// metrics.
#pragma once
#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "agents/runtime/loop.h"
#include "agents/runtime/vitals.h"

namespace kairo::runtime {
using Sensor = std::function<void(const std::atomic<bool>& stop)>;  // returns when stop is set
struct ServiceOptions {
  std::string agent;
  int workers = 4;           // effects that may run at the same time
  Vitals* vitals = nullptr;  // what /readyz and /metrics tell; told of "lease"; not null
  std::string health_host = "127.0.0.1";
  int health_port = 0;          // /healthz, /readyz and /metrics; 0 = any free port
  std::string port_file;        // where the chosen port is written; "" = nowhere
  std::vector<Sensor> sensors;  // a thread each
  Tenure* tenure = nullptr;     // tended here; null: it is alone
  std::function<std::string()> more_metrics;  // behind the agent's own; any thread; null = none
};
// Runs until `stop`; then the running effects end, the lease is given back and it returns. A
// process whose lease is lost ends at once: what it was doing may not go on. corrupt: the store
// must be rebuilt.
Status serve(Loop& loop, Relay& relay, const ServiceOptions& options,
             const std::atomic<bool>& stop);
}  // namespace kairo::runtime
