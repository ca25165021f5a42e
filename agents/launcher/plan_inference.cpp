// agents/launcher/plan_inference.cpp - the inference server: StatefulSet and two Services.
#include <algorithm>

#include "agents/cluster/kinds.h"
#include "agents/launcher/manifest.h"
#include "agents/launcher/run_volume.h"
#include "agents/launcher/spread_volume.h"
#include "agents/runtime/decision.h"

namespace kairo::launcher {
namespace {
constexpr std::int64_t grace_seconds = 30;  // Kubernetes' own
// Where the node agent puts adapters while the server runs (kairo.dev/adapters-from).
constexpr const char* coming_adapters = "/workspace/adapters";

bool is_load_balanced(const wire::WorkspaceT& w) {
  return runtime::annotation_of(w, "kaito.sh/enablelb") == "True";
}
Json probe(int delay, int period, int failures) {
  return {{"httpGet", {{"path", "/health"}, {"port", serving_port}}},
          {"initialDelaySeconds", delay},
          {"periodSeconds", period},
          {"failureThreshold", failures}};
}
Json service(const wire::CommandT& command, const wire::WorkspaceT& w, bool headless, bool by_ray) {
  Json out = object_of(command, w, "v1", "Service", command.name + (headless ? "-headless" : ""));
  Json spec = {{"selector", {{"kaito.sh/workspace", command.name}}},
               {"publishNotReadyAddresses", true}};
  if (headless) {
    spec["clusterIP"] = "None";
  } else {
    spec["type"] = is_load_balanced(w) ? "LoadBalancer" : "ClusterIP";
    spec["ports"] = Json::array(
        {{{"name", "http"}, {"port", 80}, {"targetPort", serving_port}, {"protocol", "TCP"}}});
    if (by_ray) {  // the leader alone answers
      spec["selector"]["statefulset.kubernetes.io/pod-name"] = command.name + "-0";
      add_ray_ports(spec["ports"]);
    }
  }
  out["spec"] = std::move(spec);
  return out;
}

bool mounts_images(const wire::ResourcesT& resources, const Settings& settings) {
  if (resources.local || settings.image_volumes == ImageVolumes::never) return false;
  return resources.image_volumes || settings.image_volumes == ImageVolumes::always;
}
// An image's /data, as an init container would bring it. What a tag names may change: it is asked
// for with each pod, as there.
void mount_image(Volumes& volumes, const std::string& name, const wire::DataSourceT& source,
                 const std::string& path, Json& pull_secrets) {
  const bool is_digest = source.image.find('@') != std::string::npos;
  volumes.add(
      name,
      {{"image",
        {{"reference", source.image}, {"pullPolicy", is_digest ? "IfNotPresent" : "Always"}}}},
      path, true);
  volumes.mounts.back()["subPath"] = "data";
  for (const std::string& secret : source.image_pull_secrets)
    if (const Json named = {{"name", secret}};
        std::find(pull_secrets.begin(), pull_secrets.end(), named) == pull_secrets.end())
      pull_secrets.push_back(named);
}

// Into pod volumes; those from images as the node can: as they are, or by init containers.
std::vector<ServedAdapter> mount_adapters(const wire::ApplyInferenceT& apply,
                                          const Settings& settings, Volumes& volumes, Json& spec) {
  const bool as_images = mounts_images(*apply.resources, settings);
  std::vector<ServedAdapter> out;
  Json pullers = Json::array(), pull_secrets = Json::array();
  for (const auto& adapter : apply.workspace->inference->adapters) {
    const wire::DataSourceT& source = *adapter->source;
    const std::string path = "/mnt/adapter/" + source.name;
    const std::string volume = "adapter-" + source.name;
    if (source.image.empty()) {
      volumes.add(volume, Json::parse(source.volume), path, true);
    } else if (as_images) {
      mount_image(volumes, volume, source, path, pull_secrets);
    } else {
      volumes.add(volume, {{"emptyDir", Json::object()}}, path);
      Json puller = pull_container("puller-" + source.name, source, path, settings, volumes);
      puller["volumeMounts"].push_back({{"name", volume}, {"mountPath", path}});
      pullers.push_back(std::move(puller));
    }
    out.push_back({source.name, path, adapter->strength});
  }
  if (!pull_secrets.empty()) spec["imagePullSecrets"] = pull_secrets;
  if (!pullers.empty()) spec["initContainers"] = pullers;
  return out;
}

Json native_container(const wire::CommandT& command, const Settings& settings,
                      const std::vector<ServedAdapter>& adapters,
                      const std::vector<std::string>& more) {
  const wire::ApplyInferenceT& apply = *command.body.AsApplyInference();
  Json words = Json::array({"kairo-serve", "--model", "/workspace/weights", "--name",
                            apply.workspace->inference->preset, "--host", settings.listen, "--port",
                            std::to_string(serving_port), "--runtime-adapters", coming_adapters});
  for (const ServedAdapter& adapter : adapters) {
    words.push_back("--adapter");
    words.push_back(adapter.name + "=" + adapter.path +
                    (adapter.strength.empty() ? "" : ":" + adapter.strength));
  }
  for (const std::string& word : more) words.push_back(word);
  return {{"name", command.name},
          {"image", engine_image_for(*apply.resources, settings)},
          {"command", words},
          {"resources", room_of(*apply.resources)}};
}
// How kairo's own engine serves quantised weights, for the status.
void note_weights(Json& set, const Json& pod, const wire::RunDirT* dir) {
  std::string weights = dir == nullptr ? "" : dir->blocks;
  const auto command = pod.value(Json::json_pointer("/spec/containers/0/command"),
                                 Json::array());  // or a template's
  if (std::find(command.begin(), command.end(), "nf4") != command.end()) weights = "NF4";
  if (!weights.empty()) set["metadata"]["annotations"]["kairo.dev/weights"] = weights;
}
}  // namespace

std::vector<cluster::Apply> serving_objects(const wire::CommandT& command,
                                            const wire::WorkspaceT& w,
                                            const wire::ResourcesT& resources, Json pod) {
  Json set = object_of(command, w, "apps/v1", "StatefulSet", command.name);
  note_place(set, w, resources);
  note_weights(set, pod, command.body.AsApplyInference()->run_dir.get());
  queue_up(set, w);
  const bool by_ray = is_spread(resources) && resources.runtime == "vllm";
  set["spec"] = {{"replicas", std::max<std::size_t>(resources.nodes.size(), 1)},
                 {"podManagementPolicy", "Parallel"},
                 {"serviceName", command.name + "-headless"},
                 {"selector", {{"matchLabels", {{"kaito.sh/workspace", command.name}}}}},
                 {"template", std::move(pod)}};
  if (by_ray) {
    set["spec"]["volumeClaimTemplates"] = Json::array({claim_template(command)});
    set["spec"]["persistentVolumeClaimRetentionPolicy"] = {{"whenDeleted", "Delete"},
                                                           {"whenScaled", "Retain"}};
  }
  return {apply_of(cluster::services, service(command, w, false, by_ray)),
          apply_of(cluster::services, service(command, w, true, by_ray)),
          apply_of(cluster::stateful_sets, set)};
}

Plan plan_inference(const wire::CommandT& command, const Settings& settings,
                    const std::vector<std::string>& words) {
  const wire::ApplyInferenceT& apply = *command.body.AsApplyInference();
  const wire::WorkspaceT& w = *apply.workspace;
  if (!w.inference->template_.empty()) return plan_template(command);
  Volumes volumes;
  const bool spreads = is_spread(*apply.resources);
  if (spreads)
    volumes.mounts.push_back(run_mount(*apply.run_dir, "weights", "/workspace/weights", true));
  else
    mount_run(volumes, *apply.run_dir, "weights", "/workspace/weights", true);
  Json spec = {
      {"terminationGracePeriodSeconds", w.grace_seconds >= 0 ? w.grace_seconds : grace_seconds}};
  const auto adapters = mount_adapters(apply, settings, volumes, spec);
  const bool is_native = apply.resources->runtime.empty();
  if (is_native) mount_run(volumes, *apply.run_dir, "adapters", coming_adapters, true);
  Json server = is_native ? native_container(command, settings, adapters, words)
                          : vllm_container(command, settings, adapters, words, volumes);
  server["ports"] = Json::array({{{"containerPort", serving_port}}});
  server["startupProbe"] = probe(0, 1, 1800);
  server["readinessProbe"] = probe(0, 10, 3);
  server["livenessProbe"] = probe(0, 10, 3);
  if (spreads) make_stage(server, command, *apply.resources);
  server["volumeMounts"] = volumes.mounts;
  spec["containers"] = Json::array({server});
  spec["volumes"] = volumes.list;
  place(spec, w, *apply.resources);
  restrict(spec);
  return {spreads ? spread_volumes(command, apply)
                  : run_volume(command.ns, *apply.resources, *apply.run_dir),
          serving_objects(command, w, *apply.resources,
                          {{"metadata", pod_metadata(command, w)}, {"spec", spec}})};
}
}  // namespace kairo::launcher
