// agents/launcher/plan_inference.cpp - the inference server: StatefulSet and two Services.
#include "agents/cluster/kinds.h"
#include "agents/launcher/manifest.h"
#include "agents/launcher/run_volume.h"

namespace kairo::launcher {
namespace {
constexpr int port = 5000;
constexpr std::int64_t grace_seconds = 30;  // Kubernetes' own

bool is_load_balanced(const wire::WorkspaceT& w) {
  for (const auto& a : w.annotations)
    if (a->key == "kaito.sh/enablelb") return a->value == "True";
  return false;
}
Json probe(int delay, int period, int failures) {
  return {{"httpGet", {{"path", "/health"}, {"port", port}}},
          {"initialDelaySeconds", delay},
          {"periodSeconds", period},
          {"failureThreshold", failures}};
}
Json service(const wire::CommandT& command, const wire::WorkspaceT& w, bool headless) {
  Json out = object_of(command, w, "v1", "Service", command.name + (headless ? "-headless" : ""));
  Json spec = {{"selector", {{"kaito.sh/workspace", command.name}}},
               {"publishNotReadyAddresses", true}};
  if (headless) {
    spec["clusterIP"] = "None";
  } else {
    spec["type"] = is_load_balanced(w) ? "LoadBalancer" : "ClusterIP";
    spec["ports"] =
        Json::array({{{"name", "http"}, {"port", 80}, {"targetPort", port}, {"protocol", "TCP"}}});
  }
  out["spec"] = std::move(spec);
  return out;
}
}  // namespace

Plan plan_inference(const wire::CommandT& command, const Settings& settings) {
  const wire::ApplyInferenceT& apply = *command.body.AsApplyInference();
  const wire::WorkspaceT& w = *apply.workspace;
  Volumes volumes;
  mount_run(volumes, *apply.run_dir, "weights", "/workspace/weights", true);
  Json arguments =
      Json::array({"kairo-serve", "--model", "/workspace/weights", "--name", w.inference->preset,
                   "--host", settings.listen, "--port", std::to_string(port)});
  Json pullers = Json::array();
  for (const auto& adapter : w.inference->adapters) {
    const wire::DataSourceT& source = *adapter->source;
    const std::string path = "/mnt/adapter/" + source.name;
    const std::string volume = "adapter-" + source.name;
    if (source.image.empty()) {
      volumes.add(volume, Json::parse(source.volume), path, true);
    } else {
      volumes.add(volume, {{"emptyDir", Json::object()}}, path);
      Json puller = pull_container("puller-" + source.name, source, path, settings, volumes);
      puller["volumeMounts"].push_back({{"name", volume}, {"mountPath", path}});
      pullers.push_back(std::move(puller));
    }
    const std::string strength = adapter->strength.empty() ? "" : ":" + adapter->strength;
    arguments.push_back("--adapter");
    arguments.push_back(source.name + "=" + path + strength);
  }
  Json server = {{"name", command.name},
                 {"image", settings.engine_image},
                 {"command", arguments},
                 {"ports", Json::array({{{"containerPort", port}}})},
                 {"resources", room_of(*apply.resources)},
                 {"startupProbe", probe(0, 1, 1800)},
                 {"readinessProbe", probe(0, 10, 3)},
                 {"livenessProbe", probe(0, 10, 3)},
                 {"volumeMounts", volumes.mounts}};
  Json spec = {
      {"terminationGracePeriodSeconds", w.grace_seconds >= 0 ? w.grace_seconds : grace_seconds}};
  if (!pullers.empty()) spec["initContainers"] = pullers;
  spec["containers"] = Json::array({server});
  spec["volumes"] = volumes.list;
  place(spec, w, *apply.resources);
  restrict(spec);

  Json set = object_of(command, w, "apps/v1", "StatefulSet", command.name);
  note_place(set, *apply.resources);
  queue_up(set, w);
  set["spec"] = {{"replicas", 1},
                 {"podManagementPolicy", "Parallel"},
                 {"serviceName", command.name + "-headless"},
                 {"selector", {{"matchLabels", {{"kaito.sh/workspace", command.name}}}}},
                 {"template", {{"metadata", pod_metadata(command, w)}, {"spec", spec}}}};
  return {run_volume(command.ns, *apply.resources, *apply.run_dir),
          {apply_of(cluster::services, service(command, w, false)),
           apply_of(cluster::services, service(command, w, true)),
           apply_of(cluster::stateful_sets, set)}};
}
}  // namespace kairo::launcher
