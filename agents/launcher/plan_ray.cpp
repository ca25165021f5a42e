// agents/launcher/plan_ray.cpp - vLLM's container as one stage of a pipeline over several nodes.
//
// The pods of a StatefulSet share one template, so each finds out from its ordinal what it is:
// pod 0 leads and serves, the others work for it. Where the image has Ray (KAITO's base image) they
// meet in it, as KAITO's do; vLLM's own image has none since 0.18 and its processes meet without.
#include <string>

#include "agents/launcher/manifest.h"

namespace kairo::launcher {
namespace {
constexpr int ray_port = 6379, dashboard_port = 8265;

// "$@" is vLLM's command line: nothing of the user's is read by the shell.
constexpr const char* run = R"(until getent hosts "$KAIRO_LEADER" >/dev/null; do sleep 2; done
if ! command -v ray >/dev/null; then
  [ "$POD_INDEX" = 0 ] || set -- "$@" --headless
  exec "$@" --distributed-executor-backend mp --nnodes "$KAIRO_NODES" --node-rank "$POD_INDEX" \
    --master-addr "$KAIRO_LEADER" --master-port 29500
fi
if [ "$POD_INDEX" != 0 ]; then
  until ray health-check --address "$KAIRO_LEADER:6379" >/dev/null 2>&1; do sleep 2; done
  exec ray start --block --address "$KAIRO_LEADER:6379" --node-ip-address "$VLLM_HOST_IP"
fi
ray start --head --port 6379 --node-ip-address "$VLLM_HOST_IP" \
  --dashboard-host 0.0.0.0 --dashboard-port 8265
until python3 -c 'import sys, ray
ray.init("auto")
sys.exit(sum(node["Alive"] for node in ray.nodes()) < int(sys.argv[1]))' "$KAIRO_NODES"; do
  sleep 2
done
exec "$@" --distributed-executor-backend ray
)";
// The leader's /health, of each pod: none is ready before the model answers. (An httpGet probe
// would be asked by the kubelet, of its own pod.)
constexpr const char* serves =
    R"(python3 -c 'import sys, urllib.request
urllib.request.urlopen(sys.argv[1], timeout=8)' "http://$KAIRO_LEADER:5000/health")";
// A worker lives as long as it can see the leader's Ray; without Ray it ends by itself.
constexpr const char* worker_sees =
    R"(! command -v ray >/dev/null || ray health-check --address "$KAIRO_LEADER:6379")";

Json probe(const std::string& script, int period, int failures) {
  return {{"exec", {{"command", Json::array({"/bin/sh", "-c", script})}}},
          {"timeoutSeconds", 10},
          {"periodSeconds", period},
          {"failureThreshold", failures}};
}
Json from_field(const char* name, const char* path) {
  return {{"name", name}, {"valueFrom", {{"fieldRef", {{"fieldPath", path}}}}}};
}
}  // namespace

bool is_spread(const wire::ResourcesT& resources) {
  return resources.nodes.size() > 1;
}

void make_stage(Json& server, const wire::CommandT& command, const wire::ResourcesT& resources) {
  Json words = Json::array({"/bin/sh", "-c", run, "kairo"});
  for (const Json& word : server["command"]) words.push_back(word);
  server["command"] = std::move(words);
  const std::string leader =
      command.name + "-0." + command.name + "-headless." + command.ns + ".svc";
  Json& env = server["env"];
  env.push_back({{"name", "KAIRO_LEADER"}, {"value", leader}});
  env.push_back({{"name", "KAIRO_NODES"}, {"value", std::to_string(resources.nodes.size())}});
  env.push_back(from_field("POD_INDEX", "metadata.labels['apps.kubernetes.io/pod-index']"));
  env.push_back(from_field("VLLM_HOST_IP", "status.podIP"));
  env.push_back({{"name", "RAY_USAGE_STATS_ENABLED"}, {"value", "0"}});
  for (const int port : {ray_port, dashboard_port})
    server["ports"].push_back({{"containerPort", port}});
  server["startupProbe"] = probe(serves, 10, 180);
  server["readinessProbe"] = probe(serves, 10, 3);
  server["livenessProbe"] = probe(
      std::string("if [ \"$POD_INDEX\" = 0 ]; then ") + serves + "; else " + worker_sees + "; fi",
      30, 3);
}

void add_ray_ports(Json& ports) {
  const auto add = [&](const char* name, int port) {
    ports.push_back({{"name", name}, {"port", port}, {"targetPort", port}, {"protocol", "TCP"}});
  };
  add("ray", ray_port);
  add("dashboard", dashboard_port);
}
}  // namespace kairo::launcher
