// agents/launcher/manifest.h - pieces that both workloads share. Private to the plans.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "agents/launcher/plan.h"

namespace kairo::launcher {
using Json = nlohmann::ordered_json;

struct Volumes {  // a pod's volumes, and where a container sees them
  Json list = Json::array();
  Json mounts = Json::array();
  void add(const std::string& name, Json source, const std::string& path, bool read_only = false);
};
// apiVersion, kind, metadata with our labels, annotations and the owner reference.
Json object_of(const wire::CommandT& command, const wire::WorkspaceT& w, const std::string& version,
               const std::string& kind, const std::string& name);
Json pod_metadata(const wire::CommandT& command, const wire::WorkspaceT& w);
// Requests, limits: GPUs, CPU and memory of the node's grant.
Json room_of(const wire::ResourcesT& resources);
// Node affinity to the granted node's labels and KAITO's tolerations.
void place(Json& pod_spec, const wire::WorkspaceT& w, const wire::ResourcesT& resources);
// Of the granted nodes: their labels kubernetes.io/hostname.
std::vector<std::string> hosts_of(const wire::ResourcesT& resources);
// One of these, as an expression of an affinity.
Json of_hosts(const std::vector<std::string>& hosts);
// What Pod Security's profile `restricted` asks for, and less: the user of the node agent, whose
// files the run directories hold; no token of a service account; nothing written beside volumes.
void restrict(Json& pod_spec);
// An init container that pulls an image's /data into `to`.
Json pull_container(const std::string& name, const wire::DataSourceT& source, const std::string& to,
                    const Settings& settings, Volumes& pod_volumes);
// ---- of inference
constexpr int serving_port = 5000;
struct ServedAdapter {
  std::string name, path, strength;  // strength "": 1
};
// By vLLM: weights from the run directory, whole GPUs; adds its scratch volumes. flags: the user's.
Json vllm_container(const wire::CommandT& command, const Settings& settings,
                    const std::vector<ServedAdapter>& adapters,
                    const std::vector<std::string>& flags, Volumes& volumes);
// Both Services and the StatefulSet of `pod` (metadata, spec).
std::vector<cluster::Apply> serving_objects(const wire::CommandT& command,
                                            const wire::WorkspaceT& w,
                                            const wire::ResourcesT& resources, Json pod);
bool is_spread(const wire::ResourcesT& resources);  // one model on several nodes
// Makes vLLM's container, of which each node has one, a stage of its pipeline.
void make_stage(Json& server, const wire::CommandT& command, const wire::ResourcesT& resources);
void add_ray_ports(Json& ports);  // of the Service
// Of inference.template.
Plan plan_template(const wire::CommandT& command);

// On a workload: Kueue's labels, when the Workspace has them.
void queue_up(Json& object, const wire::WorkspaceT& w);
// On a workload: the place that it was made for, so that one for another place is known.
// And KAITO's number of the revision, so that it takes the workload for its own.
void note_place(Json& object, const wire::WorkspaceT& w, const wire::ResourcesT& resources);
cluster::Apply apply_of(const cluster::Kind& kind, const Json& object);
}  // namespace kairo::launcher
