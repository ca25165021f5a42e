// agents/launcher/manifest.cpp - labels, owners, volumes, placement.
#include "agents/launcher/manifest.h"

#include "agents/runtime/decision.h"

namespace kairo::launcher {
void Volumes::add(const std::string& name, Json source, const std::string& path, bool read_only) {
  source["name"] = name;
  list.push_back(std::move(source));
  Json mount = {{"name", name}, {"mountPath", path}};
  if (read_only) mount["readOnly"] = true;
  mounts.push_back(std::move(mount));
}

Json pod_metadata(const wire::CommandT& command, const wire::WorkspaceT& w) {
  return {{"labels", {{"kaito.sh/workspace", command.name}}},
          {"annotations",
           {{"kairo.dev/workspace-uid", command.uid}, {"kairo.dev/revision", w.revision}}}};
}

Json object_of(const wire::CommandT& command, const wire::WorkspaceT& w, const std::string& version,
               const std::string& kind, const std::string& name) {
  Json object = {{"apiVersion", version}, {"kind", kind}};
  Json meta = {{"name", name}, {"namespace", command.ns}};
  meta.update(pod_metadata(command, w));
  meta["ownerReferences"] = Json::array({{{"apiVersion", "kaito.sh/v1beta1"},
                                          {"kind", "Workspace"},
                                          {"name", command.name},
                                          {"uid", command.uid},
                                          {"controller", true},
                                          {"blockOwnerDeletion", true}}});
  object["metadata"] = std::move(meta);
  return object;
}

Json room_of(const wire::ResourcesT& resources) {
  Json requests = Json::object(), limits = Json::object();
  if (resources.cpu_milli > 0) requests["cpu"] = std::to_string(resources.cpu_milli) + "m";
  if (resources.memory_bytes > 0) requests["memory"] = std::to_string(resources.memory_bytes);
  if (resources.memory_limit_bytes > 0)
    limits["memory"] = std::to_string(resources.memory_limit_bytes);
  if (resources.gpus > 0)
    requests["nvidia.com/gpu"] = limits["nvidia.com/gpu"] = std::to_string(resources.gpus);
  return {{"requests", requests}, {"limits", limits}};
}

void place(Json& pod_spec, const wire::WorkspaceT& w, const wire::ResourcesT& resources) {
  Json expressions = Json::array();
  // The run directories lie on these nodes: the pods must go there.
  if (!resources.nodes.empty()) expressions.push_back(of_hosts(hosts_of(resources)));
  if (!resources.local)
    for (const auto& label : w.match_labels)
      expressions.push_back(
          {{"key", label->key}, {"operator", "In"}, {"values", Json::array({label->value})}});
  if (!expressions.empty())
    pod_spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
            ["nodeSelectorTerms"] = Json::array({{{"matchExpressions", expressions}}});
  pod_spec["tolerations"] = Json::array(
      {{{"key", "nvidia.com/gpu"}, {"operator", "Exists"}, {"effect", "NoSchedule"}},
       {{"key", "sku"}, {"operator", "Equal"}, {"value", "gpu"}, {"effect", "NoSchedule"}},
       {{"key", "kubernetes.azure.com/scalesetpriority"},
        {"operator", "Equal"},
        {"value", "spot"},
        {"effect", "NoSchedule"}}});
}

std::vector<std::string> hosts_of(const wire::ResourcesT& resources) {
  if (!resources.hostnames.empty()) return resources.hostnames;
  return {resources.hostname.empty() ? resources.nodes.front() : resources.hostname};
}
Json of_hosts(const std::vector<std::string>& hosts) {
  return {{"key", "kubernetes.io/hostname"}, {"operator", "In"}, {"values", hosts}};
}

void restrict(Json& pod_spec) {
  constexpr int user = 65532;  // as deploy/images and deploy/chart have it
  pod_spec["automountServiceAccountToken"] = false;
  pod_spec["enableServiceLinks"] = false;
  pod_spec["securityContext"] = {{"runAsNonRoot", true},
                                 {"runAsUser", user},
                                 {"runAsGroup", user},
                                 {"fsGroup", user},
                                 {"fsGroupChangePolicy", "OnRootMismatch"},
                                 {"seccompProfile", {{"type", "RuntimeDefault"}}}};
  for (const char* list : {"initContainers", "containers"})
    if (pod_spec.contains(list))
      for (Json& container : pod_spec[list])
        container["securityContext"] = {{"allowPrivilegeEscalation", false},
                                        {"capabilities", {{"drop", Json::array({"ALL"})}}},
                                        {"readOnlyRootFilesystem", true}};
}

Json pull_container(const std::string& name, const wire::DataSourceT& source, const std::string& to,
                    const Settings& settings, Volumes& pod_volumes) {
  Json container = {
      {"name", name},
      {"image", settings.image},
      {"command", Json::array({"kairo", "pull", "--image", source.image, "--to", to})}};
  Json mounts = Json::array();
  if (!source.image_pull_secrets.empty()) {
    Json sources = Json::array();
    for (const std::string& secret : source.image_pull_secrets)
      sources.push_back({{"secret",
                          {{"name", secret},
                           {"items", Json::array({{{"key", ".dockerconfigjson"},
                                                   {"path", secret + ".json"}}})}}}});
    const std::string volume = "docker-config-" + name;
    const std::string path = "/etc/kairo/docker/" + name;
    pod_volumes.list.push_back({{"name", volume}, {"projected", {{"sources", sources}}}});
    mounts.push_back({{"name", volume}, {"mountPath", path}, {"readOnly", true}});
    container["command"].push_back("--docker-config-dir");
    container["command"].push_back(path);
  }
  container["volumeMounts"] = std::move(mounts);
  return container;
}

void queue_up(Json& object, const wire::WorkspaceT& w) {
  Json& labels = object["metadata"]["labels"];
  if (!w.queue.empty()) labels["kueue.x-k8s.io/queue-name"] = w.queue;
  if (!w.queue_priority.empty()) labels["kueue.x-k8s.io/priority-class"] = w.queue_priority;
}

void note_place(Json& object, const wire::WorkspaceT& w, const wire::ResourcesT& resources) {
  Json& notes = object["metadata"]["annotations"];
  if (!resources.places.empty()) notes["kairo.dev/place"] = runtime::joined(resources.places);
  const char* revision = "workspace.kaito.io/revision";
  const std::string number = runtime::annotation_of(w, revision);
  notes[revision] = number.empty() ? "1" : number;  // not noted yet: its first; else made right
}

cluster::Apply apply_of(const cluster::Kind& kind, const Json& object) {
  const Json& meta = object["metadata"];
  return {{kind, meta.value("namespace", ""), meta.value("name", "")}, object.dump(), manager, ""};
}
}  // namespace kairo::launcher
