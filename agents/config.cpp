// agents/config.cpp - settings as an AgentConfig.
#include "agents/config.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "agents/local/local_cluster.h"
#include "schemas/base/bytes.h"
#include "schemas/base/log.h"

namespace kairo {
namespace {
namespace fs = std::filesystem;
constexpr const char* folder = "/var/lib/kairo/";

// These act for their node, n of them for n nodes; two of one node share its disk, and so a lock.
bool is_of_a_node(const std::string& agent) {
  return agent == "node" || agent == "pusher";
}
std::string either(const std::string& given, const std::string& otherwise) {
  return given.empty() ? otherwise : given;
}
Result<std::string> first_line(const Settled& settled, const std::string& name) {
  std::ifstream in(settled[name]);
  std::string line;
  if (!std::getline(in, line) || line.empty())
    return settled.wrong(name, in.is_open() ? "it is empty; write the password into it"
                                            : "it cannot be read; name a file that can");
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
  return line;
}
Status read_bus(AgentConfig& out, const Settled& settled) {
  out.bus.url = either(settled["bus-url"], out.bus.url);
  out.bus.user = either(settled["bus-user"], out.agent);
  if (!settled["bus-password-file"].empty())
    out.bus.password = TRY(first_line(settled, "bus-password-file"));
  else if (!settled["bus-password"].empty())
    out.bus.password = settled["bus-password"];
  out.bus.ca_file = settled["bus-ca-file"];
  out.bus.replicas = std::atoi(settled["bus-replicas"].c_str());
  out.bus.names = TRY(bus::Names::of(settled["bus-cluster"]));
  out.bus.admin = out.agent == "watcher";
  return ok();
}
void read_health(AgentConfig& out, const Settled& settled) {
  const std::string& address = settled["health-address"];
  if (address.empty()) return;
  const std::size_t colon = address.rfind(':');
  out.health_host = address.substr(0, colon);
  if (out.health_host.starts_with('['))  // of IPv6
    out.health_host = out.health_host.substr(1, out.health_host.size() - 2);
  out.health_port = std::atoi(address.c_str() + colon + 1);
}
std::int64_t span_ms(const std::string& text, std::int64_t otherwise_ms, std::int64_t never_ms) {
  if (text.empty()) return otherwise_ms;
  if (text == "never") return never_ms;
  const std::int64_t unit_ms = text.back() == 'h' ? 3'600'000 : text.back() == 'm' ? 60'000 : 1'000;
  return std::atoll(text.c_str()) * unit_ms;
}
std::int64_t checkpoint_rhythm(const Settled& settled) {
  constexpr std::int64_t never_ms = INT64_MAX / 4;
  return span_ms(settled["checkpoint-every"], pusher::checkpoint_every_ms, never_ms);
}
provisioner::Terms terms_of(const Settled& settled) {
  provisioner::Terms out;
  const std::string& by = settled["node-provisioner"];
  if (by == "nodeclaim" || by == "azure-gpu-provisioner") out.mode = provisioner::Mode::node_claims;
  if (by == "karpenter") out.mode = provisioner::Mode::karpenter;
  const std::string named =
      either(settled["node-class"], by == "karpenter"
                                        ? "karpenter.azure.com/AKSNodeClass/image-family-ubuntu"
                                        : "kaito.sh/KaitoNodeClass/default");
  const std::size_t kind = named.find('/'), name = named.rfind('/');
  out.node_class = {named.substr(0, kind), named.substr(kind + 1, name - kind - 1),
                    named.substr(name + 1)};
  out.release_after_ms = span_ms(settled["release-after"], out.release_after_ms, -1);
  out.late_after_ms = span_ms(settled["node-late-after"], out.late_after_ms, INT64_MAX / 4);
  out.lost_after_ms = span_ms(settled["node-lost-after"], out.lost_after_ms, 0);
  return out;
}
Status local(AgentConfig& out, const Settled& settled, const std::string& process) {
  const cli::Home home = TRY(cli::absolute({either(settled["home"], cli::default_home().path)}));
  const cli::Ports ports = TRY(cli::read_ports(home));
  out.node = cluster::local_node;
  out.state_dir = home / ("state/" + process);
  const std::string role = is_of_a_node(out.agent) ? out.agent + "." + out.node : out.agent;
  out.lease_file = home / ("state/" + role + ".lease");
  out.lease_ns = settled["lease-namespace"];
  out.runs_dir = home / "runs";
  out.models.folder = cli::models_dir();
  out.port_file = home / ("run/" + process + ".port");
  out.cluster = {"http://127.0.0.1:" + std::to_string(ports.cluster),
                 home / ("secrets/" + out.agent + ".token"), ""};
  out.bus.url = "nats://127.0.0.1:" + std::to_string(ports.nats);
  out.bus.password = TRY(cli::read_secret(home, out.agent + ".nats"));
  return ok();
}
Status remote(AgentConfig& out, const Settled& settled, const std::string& process) {
  const cluster::Target target = TRY(target_of(settled));
  out.is_local = false;
  out.cluster = target.config;
  out.cluster.streams_lists = out.agent == "watcher";  // the others list nothing that they watch
  out.node = settled["node"];
  if (out.node.empty() && is_of_a_node(out.agent))
    return Error{Code::invalid, "node is not set; the " + out.agent +
                                    " agent acts for a Node: name it with KAIRO_NODE (in a pod "
                                    "from spec.nodeName) or --node"};
  char host[256] = "";
  if (out.node.empty() && gethostname(host, sizeof host - 1) == 0) out.node = host;
  const std::string state = folder + std::string("state");
  out.state_dir = state + "/" + process;
  if (is_of_a_node(out.agent))
    out.lease_file = either(settled["state-dir"], state) + "/" + out.agent + ".lease";
  else
    out.lease_ns = either(settled["lease-namespace"], either(target.ns, "kairo-system"));
  out.runs_dir = folder + std::string("runs");
  out.models.folder = folder + std::string("models");
  out.health_host = "0.0.0.0";
  out.health_port = 8080;
  out.bus.url = "nats://kairo-nats:4222";
  return ok();
}
Result<web::WebConfig> web_in_cluster(const Settled& settled) {
  AgentConfig read;
  read.agent = "web";
  read.health_host = "0.0.0.0";
  read.health_port = 8080;
  read.bus.url = "nats://kairo-nats:4222";
  TRY(read_bus(read, settled));
  read_health(read, settled);
  web::WebConfig out;
  out.cluster = TRY(target_of(settled)).config;
  out.bus = read.bus;
  out.bus.client = "web";
  out.server.address = read.health_host;
  out.server.port = read.health_port;
  out.server.is_local = false;
  return out;
}
}  // namespace

std::string environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe): see the header
  return value != nullptr ? value : "";
}

Result<Settled> read_settings(const std::map<std::string, std::string>& flags) {
  const auto given = flags.find("config");
  const std::string path = given != flags.end() ? given->second : environment("KAIRO_CONFIG");
  if (path.empty()) return settle(flags, environment, std::nullopt);
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in.is_open() || fs::is_directory(path))
    return Error{Code::invalid, "config is \"" + path + "\" (" +
                                    (given != flags.end() ? "--config" : "KAIRO_CONFIG") +
                                    "); it cannot be read: name a YAML file"};
  return settle(flags, environment, SettingsFile{path, text.str()});
}

bool is_local(const Settled& settled) {
  if (!settled["mode"].empty()) return settled["mode"] == "local";
  return settled["context"].empty() && settled["kubeconfig"].empty();
}
Result<cluster::Target> target_of(const Settled& settled) {
  if (settled["mode"] == "in-cluster") return cluster::in_cluster(environment);
  return cluster::load_kubeconfig(settled["kubeconfig"], settled["context"], environment);
}

node::CacheSettings cache_settings(const Settled& settled, const std::string& models) {
  node::CacheSettings out;
  out.folder =
      settled["models-dir"].empty() ? models : fs::absolute(settled["models-dir"]).string();
  const auto address = [&](const char* name, std::string& into) {
    into = either(settled[name], into);
    if (into == "none") into.clear();
    while (into.ends_with('/')) into.pop_back();
  };
  address("hub", out.hub);
  address("preset-registry", out.registry);
  out.registry_config = settled["preset-registry-config"];
  out.ca_file = settled["hub-ca-file"];
  out.limit_bytes = bytes_in(settled["models-limit"]).value_or(0);
  out.keep_free_bytes = bytes_in(settled["models-keep-free"]).value_or(out.keep_free_bytes);
  return out;
}

Result<web::WebConfig> web_config(const Settled& settled) {
  if (!is_local(settled)) return web_in_cluster(settled);
  const cli::Home home = TRY(cli::absolute({either(settled["home"], cli::default_home().path)}));
  const cli::Ports ports = TRY(cli::read_ports(home));
  web::WebConfig out;
  out.cluster = {"http://127.0.0.1:" + std::to_string(ports.cluster), home / "secrets/web.token",
                 ""};
  out.bus.url = "nats://127.0.0.1:" + std::to_string(ports.nats);
  out.bus.user = "web";
  out.bus.password = TRY(cli::read_secret(home, "web.nats"));
  out.bus.names = TRY(bus::Names::of(settled["bus-cluster"]));
  out.bus.client = "web";
  out.server.port = ports.web;
  out.server.token = TRY(cli::read_secret(home, "page"));
  out.port_file = home / "run/web.port";
  return out;
}

Result<AgentConfig> agent_config(const std::string& agent, const Settled& settled) {
  const auto& known = cli::agents();
  if (std::find(known.begin(), known.end(), agent) == known.end())
    return Error{Code::invalid, "no agent named \"" + agent +
                                    "\"; there are watcher, provisioner, launcher, node, pusher"};
  if (is_of_a_node(agent) && is_local(settled) && !settled["lease-namespace"].empty())
    return settled.wrong("lease-namespace",
                         "the " + agent + " agent acts for its node; leave it out");
  AgentConfig out;
  out.agent = agent;
  out.lease_name = "kairo-" + agent;
  const std::string& replica = settled["replica"];
  const std::string process = replica.empty() ? agent : agent + "." + replica;
  TRY((is_local(settled) ? local : remote)(out, settled, process));
  if (!settled["state-dir"].empty()) out.state_dir = settled["state-dir"] + "/" + process;
  out.runs_dir = either(settled["runs-dir"], out.runs_dir);
  out.image = settled["image"];
  out.gateway = settled["openai-url"];
  while (out.gateway.ends_with('/')) out.gateway.pop_back();
  out.engine_image = settled["engine-image"];
  out.cuda_engine_image = settled["cuda-engine-image"];
  out.vllm_image = settled["vllm-image"];
  out.image_volumes = settled["image-volumes"];
  out.terms = terms_of(settled);
  out.checkpoint_every_ms = checkpoint_rhythm(settled);
  out.models = cache_settings(settled, out.models.folder);
  out.hub_token_file = settled["hub-token-file"];
  out.nvml = settled["nvml"];
  out.kernel_log = either(settled["kernel-log"], "/dev/kmsg");
  out.xid_table = settled["xid-table"];
  TRY(read_bus(out, settled));
  read_health(out, settled);
  out.bus.client = process + " on " + out.node;
  return out;
}

void log_config(const AgentConfig& config, const Settled& settled) {
  std::string said;
  for (const auto& [name, value] : settled.spoken())
    said += (said.empty() ? "" : ", ") + name + " " + value;
  log::info("settings",
            {{"set", said},
             {"cluster", config.cluster.base_url},
             {"node", config.node},
             {"state", config.state_dir},
             {"lease", config.lease_ns.empty() ? config.lease_file
                                               : config.lease_ns + "/" + config.lease_name},
             {"bus", config.bus.url},
             {"bus-user", config.bus.user},
             {"health", config.health_host + ":" + std::to_string(config.health_port)}});
}
}  // namespace kairo
