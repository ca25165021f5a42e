// agents/config.cpp - the home folder as an AgentConfig.
#include "agents/config.h"

#include <algorithm>

#include "agents/local/local_cluster.h"

namespace kairo {
Result<AgentConfig> local_config(const cli::Home& home, const std::string& agent) {
  const auto& known = cli::agents();
  if (std::find(known.begin(), known.end(), agent) == known.end())
    return Error{Code::invalid, "no agent named \"" + agent +
                                    "\"; there are watcher, provisioner, launcher, node, pusher"};
  const cli::Ports ports = TRY(cli::read_ports(home));
  AgentConfig out;
  out.agent = agent;
  out.node = cluster::local_node;
  out.state_dir = home / ("state/" + agent);
  out.runs_dir = home / "runs";
  out.models_dir = cli::models_dir();
  out.port_file = home / ("run/" + agent + ".port");
  out.cluster = {"http://127.0.0.1:" + std::to_string(ports.cluster),
                 home / ("secrets/" + agent + ".token"), ""};
  out.bus.url = "nats://127.0.0.1:" + std::to_string(ports.nats);
  out.bus.user = agent;
  out.bus.password = TRY(cli::read_secret(home, agent + ".nats"));
  out.bus.names = TRY(cli::bus_names());
  out.bus.client = agent + " on " + out.node;
  out.bus.admin = agent == "watcher";
  return out;
}
}  // namespace kairo
