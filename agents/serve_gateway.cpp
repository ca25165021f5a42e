// agents/serve_gateway.cpp - where the gateway finds its cluster, of a local kairo or another.
#include "agents/serve_gateway.h"

#include <cstdlib>
#include <set>

#include "agents/cli/home.h"
#include "agents/cluster/kube_cluster.h"
#include "agents/config.h"
#include "agents/gateway/gateway.h"
#include "schemas/base/bytes.h"
#include "schemas/base/log.h"

namespace kairo {
namespace {
constexpr int port_in_cluster = 8081;
constexpr const char* state_in_cluster = "/var/lib/kairo/state";

Result<cluster::KubeConfig> local_gateway(gateway::Settings& out, const Settled& settled) {
  const std::string& named = settled["home"];
  const cli::Home home = TRY(cli::absolute({named.empty() ? cli::default_home().path : named}));
  const cli::Ports ports = TRY(cli::read_ports(home));
  out.folder = home / "state/gateway";
  out.runs = home / "runs";
  out.port = ports.gateway;
  out.port_file = home / "run/gateway.port";
  if (ports.registry != 0) {
    out.place.registry = "localhost:" + std::to_string(ports.registry) + "/openai";
    out.place.registry_secret = "kairo-local-registry";
  }
  return cluster::KubeConfig{"http://127.0.0.1:" + std::to_string(ports.cluster),
                             home / "secrets/gateway.token", ""};
}
Result<cluster::KubeConfig> gateway_in_cluster(gateway::Settings& out, const Settled& settled) {
  const cluster::Target target = TRY(target_of(settled));
  out.in_cluster = true;
  out.host = "0.0.0.0";
  out.port = port_in_cluster;
  out.folder = state_in_cluster + std::string("/gateway");
  return target.config;
}
Status read_gateway(gateway::Settings& out, const Settled& settled) {
  const auto into = [&](const char* name, std::string& value) {
    if (!settled[name].empty()) value = settled[name];
  };
  into("openai-namespace", out.place.ns);
  into("openai-registry", out.place.registry);
  into("openai-registry-secret", out.place.registry_secret);
  into("openai-instance-type", out.place.instance_type);
  into("openai-url", out.self_url);
  while (out.self_url.ends_with('/')) out.self_url.pop_back();
  while (out.place.registry.ends_with('/')) out.place.registry.pop_back();
  if (!settled["state-dir"].empty()) out.folder = settled["state-dir"] + "/gateway";
  if (const std::string& address = settled["openai-address"]; !address.empty()) {
    const std::size_t colon = address.rfind(':');
    out.host = address.substr(0, colon);
    if (out.host.starts_with('[')) out.host = out.host.substr(1, out.host.size() - 2);
    out.port = std::atoi(address.c_str() + colon + 1);
  }
  out.files_bytes_max = bytes_in(settled["openai-files-limit"]).value_or(out.files_bytes_max);
  if (const std::string& jobs = settled["openai-jobs-limit"]; !jobs.empty())
    out.jobs_max = std::atoll(jobs.c_str());
  if (!settled["openai-keys-file"].empty())
    out.keys = TRY(gateway::Keys::load(settled["openai-keys-file"]));
  const bool is_open = !out.keys.any() && out.host != "127.0.0.1" && out.host != "::1";
  if (is_open)
    return Error{Code::invalid,
                 "the gateway would answer everybody at " + out.host +
                     ": set openai-keys-file, or listen on 127.0.0.1 (openai-address)"};
  return ok();
}
}  // namespace

bool is_of_gateway(const std::string& setting) {
  return setting.starts_with("openai-") || setting == "state-dir" || setting == "log";
}

Status serve_gateway(const Settled& settled, const std::atomic<bool>& stop) {
  log::start("gateway", settled["log"]);
  gateway::Settings settings;
  cluster::KubeConfig reached =
      TRY((is_local(settled) ? local_gateway : gateway_in_cluster)(settings, settled));
  TRY(read_gateway(settings, settled));
  reached.stop = &stop;
  std::string said;
  for (const auto& [name, value] : settled.spoken())
    said += (said.empty() ? "" : ", ") + name + " " + value;
  log::info("settings", {{"set", said},
                         {"cluster", reached.base_url},
                         {"registry", settings.place.registry},
                         {"files", settings.folder}});
  cluster::KubeCluster cluster(std::move(reached));
  return gateway::run_gateway(settings, cluster, stop);
}
}  // namespace kairo
