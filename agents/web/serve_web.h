// agents/web/serve_web.h - `kairo web`: its parts put together.
#pragma once
#include <atomic>
#include <string>

#include "agents/bus/nats_bus.h"
#include "agents/cluster/kube_cluster.h"
#include "agents/web/server.h"
#include "schemas/base/result.h"

namespace kairo::web {
struct WebConfig {
  cluster::KubeConfig cluster;
  bus::NatsOptions bus;
  ServerOptions server;
  std::string port_file;  // of the port it has; "" = none
};
// Until `stop`. unavailable: its port is taken.
Status serve_web(const WebConfig& config, const std::atomic<bool>& stop);
}  // namespace kairo::web
