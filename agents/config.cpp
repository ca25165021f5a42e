// agents/config.cpp - the home folder as an AgentConfig.
#include "agents/config.h"

#include <algorithm>

#include "agents/local/local_cluster.h"

namespace kairo {
namespace {
Status check_label(const char* option, const std::string& value) {
  const bool is_label = value.size() <= 63 && !value.starts_with('-') && !value.ends_with('-') &&
                        std::all_of(value.begin(), value.end(), [](char c) {
                          return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
                        });
  if (is_label) return ok();
  return Error{Code::invalid, std::string(option) + " is \"" + value +
                                  "\"; use at most 63 of a-z, 0-9 and -, and no - at its ends"};
}
// These act for their node, n of them for n nodes; two of one node share its disk, and so a lock.
bool is_of_a_node(const std::string& agent) {
  return agent == "node" || agent == "pusher";
}
}  // namespace

Result<AgentConfig> local_config(const cli::Home& home, const std::string& agent,
                                 const Replica& replica) {
  const auto& known = cli::agents();
  if (std::find(known.begin(), known.end(), agent) == known.end())
    return Error{Code::invalid, "no agent named \"" + agent +
                                    "\"; there are watcher, provisioner, launcher, node, pusher"};
  TRY(check_label("--replica", replica.name));
  TRY(check_label("--lease-namespace", replica.lease_ns));
  if (is_of_a_node(agent) && !replica.lease_ns.empty())
    return Error{Code::invalid, "--lease-namespace: the " + agent +
                                    " agent acts for its node; leave the option out"};
  const cli::Ports ports = TRY(cli::read_ports(home));
  AgentConfig out;
  out.agent = agent;
  out.node = cluster::local_node;
  const std::string process = replica.name.empty() ? agent : agent + "." + replica.name;
  out.state_dir = home / ("state/" + process);
  const std::string role = is_of_a_node(agent) ? agent + "." + out.node : agent;
  out.lease_file = home / ("state/" + role + ".lease");
  out.lease_ns = replica.lease_ns;
  out.lease_name = "kairo-" + agent;
  out.runs_dir = home / "runs";
  out.models_dir = cli::models_dir();
  out.port_file = home / ("run/" + process + ".port");
  out.cluster = {"http://127.0.0.1:" + std::to_string(ports.cluster),
                 home / ("secrets/" + agent + ".token"), ""};
  out.bus.url = "nats://127.0.0.1:" + std::to_string(ports.nats);
  out.bus.user = agent;
  out.bus.password = TRY(cli::read_secret(home, agent + ".nats"));
  out.bus.names = TRY(cli::bus_names());
  out.bus.client = process + " on " + out.node;
  out.bus.admin = agent == "watcher";
  return out;
}
}  // namespace kairo
