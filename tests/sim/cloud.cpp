// tests/sim/cloud.cpp - each claim goes a step at a time, or comes to an end.
#include "tests/sim/cloud.h"

#include "agents/cluster/kinds.h"
#include "agents/local/apiserver/objects.h"
#include "tests/sim/json_at.h"

namespace kairo::sim {
namespace {
using Json = nlohmann::json;
constexpr const char* finalizer = "karpenter.sh/termination";
constexpr int launched = 1, registered = 2, ready = 3, with_gpu = 4;
constexpr std::size_t machines_max = 7;
constexpr const char* large_machine = "Standard_NC48ads_A100_v4";  // of which two hold a model

bool is_going(const Json& object) {
  return at(object, "/metadata").contains("deletionTimestamp");
}
std::string word_at(const Json& object, const char* path) {
  const Json& value = at(object, path);
  return value.is_string() ? value.get<std::string>() : "";
}
std::string workspace_of(const Json& claim) {
  const std::string name = word_at(claim, "/metadata/labels/kaito.sh~1workspace");
  return name.empty() ? word_at(claim, "/metadata/labels/karpenter.kaito.sh~1workspace-name")
                      : name;
}
bool is_large(const Json& claim) {
  return at(claim, "/spec/requirements").dump().find(large_machine) != std::string::npos;
}
Json step_is(const char* type, bool is_true, const char* reason, const char* message) {
  return {{"type", type},
          {"status", is_true ? "True" : "Unknown"},
          {"reason", is_true ? type : reason},
          {"message", is_true ? "" : message}};
}
Json named(const cluster::Kind& kind, const std::string& name) {
  const std::string version = kind.group.empty() ? kind.version : kind.group + "/" + kind.version;
  return {{"apiVersion", version}, {"kind", kind.kind}, {"metadata", {{"name", name}}}};
}
}  // namespace

std::vector<Json> CloudModel::all(const cluster::Kind& kind) {
  std::vector<Json> out;
  for (const std::string& item : cluster_.list({kind, "", ""}).value().items)
    out.push_back(Json::parse(item));
  return out;
}
std::string CloudModel::free_machine() {  // "" = none can be had
  std::size_t busy = 0;
  for (const auto& [uid, launch] : launches_) busy += launch.machine.empty() ? 0U : 1U;
  return busy < machines_max ? "cloud" + std::to_string(++made_) : "";
}

// A pool has as many claims as it says, whatever becomes of them; the claims of a pool that is gone
// go.
void CloudModel::control_pools() {
  std::map<std::string, std::vector<std::string>> held;  // by pool
  for (const Json& claim : all(cluster::node_claims)) {
    const std::string pool = word_at(claim, "/metadata/ownerReferences/0/uid");
    if (!pool.empty() && !is_going(claim)) held[pool].push_back(claim["metadata"]["name"]);
  }
  for (const Json& pool : all(cluster::node_pools)) {
    auto& claims = held[pool["metadata"]["uid"]];
    const Json& replicas = at(pool, "/spec/replicas");
    for (std::size_t i = claims.size(); i < replicas; ++i) make_claim_of(pool);
    while (claims.size() > replicas) {
      (void)cluster_.remove({cluster::node_claims, "", claims.back()}, "");
      claims.pop_back();
    }
    claims.clear();
  }
  for (const auto& [pool, claims] : held)
    for (const std::string& claim : claims)
      (void)cluster_.remove({cluster::node_claims, "", claim}, "");
}
void CloudModel::make_claim_of(const Json& pool) {
  if (!dice_.healed && dice_.below(3) == 0) {
    is_late_ = true;
    return;
  }
  const std::string name =
      pool["metadata"]["name"].get<std::string>() + "-" + std::to_string(++made_);
  Json claim = named(cluster::node_claims, name);
  claim["metadata"].update(at(pool, "/spec/template/metadata"));
  claim["metadata"]["ownerReferences"] = Json::array({{{"apiVersion", "karpenter.sh/v1"},
                                                       {"kind", "NodePool"},
                                                       {"name", pool["metadata"]["name"]},
                                                       {"uid", pool["metadata"]["uid"]}}});
  claim["spec"] = at(pool, "/spec/template/spec");
  (void)cluster_.apply({{cluster::node_claims, "", name}, claim.dump(), "karpenter", ""});
}

void CloudModel::show(const Json& claim, const Launch& launch) {
  Json out = named(cluster::node_claims, launch.claim);
  out["status"] = {
      {"conditions",
       {step_is("Launched", launch.stage >= launched, "AwaitingReconciliation", ""),
        step_is("Registered", launch.stage >= registered, "NodeNotFound", "not registered"),
        step_is("Initialized", launch.stage >= ready, "NodeNotReady", "Node is NotReady"),
        step_is("Ready", launch.stage >= ready, "UnhealthyDependents", "Initialized=Unknown")}}};
  if (launch.stage >= registered) out["status"]["nodeName"] = launch.machine;
  (void)cluster_.apply(
      {{cluster::node_claims, "", launch.claim}, out.dump(), "karpenter", "status"});
  if (launch.stage >= registered) show_node(claim, launch);
}
void CloudModel::show_node(const Json& claim, const Launch& launch) {
  Json node = named(cluster::nodes, launch.machine);
  node["metadata"]["labels"] = at(claim, "/metadata/labels");
  if (launch.claim.back() % 4 != 0) node["metadata"]["labels"].erase("accelerator");  // some forget
  node["metadata"]["labels"]["node.kubernetes.io/instance-type"] =
      is_large(claim) ? large_machine : "Standard_NC24ads_A100_v4";
  Json room = {{"cpu", "24"}, {"memory", "220Gi"}};
  if (launch.stage >= with_gpu) room["nvidia.com/gpu"] = is_large(claim) ? "2" : "1";
  node["status"] = {
      {"allocatable", room},
      {"conditions",
       Json::array({{{"type", "Ready"}, {"status", launch.stage >= ready ? "True" : "False"}}})}};
  for (const char* part : {"", "status"})
    (void)cluster_.apply({{cluster::nodes, "", launch.machine}, node.dump(), "karpenter", part});
}

// The DaemonSet's pod comes to a node with our label, and says what lies there.
void CloudModel::note_agents() {
  for (const Json& node : all(cluster::nodes)) {
    if (word_at(node, "/metadata/labels/accelerator") != "nvidia") continue;
    if (at(node, "/metadata").contains("annotations")) continue;
    Json note = named(cluster::nodes, node["metadata"]["name"]);
    note["metadata"]["annotations"] = {
        {"kairo.dev/models", "smollm2-135m-instruct,llama-3.3-70b-instruct"}};
    (void)cluster_.apply(
        {{cluster::nodes, "", node["metadata"]["name"]}, note.dump(), "kairo-node", ""});
  }
}

void CloudModel::refuse(const Json& claim, const char* reason) {
  const std::string name = claim["metadata"]["name"];
  Json event = named(cluster::events, name + "." + std::to_string(++made_));
  event["metadata"]["namespace"] = "default";
  event["type"] = "Warning";
  event["reason"] = reason;
  event["message"] = "no machine for " + name;
  event["lastTimestamp"] = "2025-11-24T16:00:00Z";
  event["involvedObject"] = {
      {"kind", "NodeClaim"}, {"name", name}, {"uid", claim["metadata"]["uid"]}};
  (void)cluster_.apply(
      {{cluster::events, "default", event["metadata"]["name"]}, event.dump(), "karpenter", ""});
  (void)cluster_.remove({cluster::node_claims, "", name}, "");
  dice_.journal.note("cloud refuses", name + " " + reason);
}

void CloudModel::end(const Json& claim, Launch& launch) {
  const std::string name = claim["metadata"]["name"];
  if (!launch.machine.empty()) {
    (void)cluster_.remove({cluster::nodes, "", launch.machine}, "");
    machines_.end(launch.machine);
    ++losses_;
  }
  dice_.journal.note("cloud ends", name + " " + launch.machine);
  launches_.erase(claim["metadata"]["uid"].get<std::string>());
  const Json none = {{"metadata", {{"finalizers", nullptr}}}};
  cluster::WriteOptions options;
  options.manager = "karpenter";
  (void)cluster_.patch({cluster::node_claims, "", name}, none.dump(), options);
}

// false: it has come to an end.
bool CloudModel::advance(const Json& claim, Launch& launch) {
  if (launch.stage == 0) {
    const std::string machine = free_machine();
    if (machine.empty() || (!dice_.healed && dice_.below(6) == 0)) {
      refuse(claim, "InsufficientCapacityError");
      return false;
    }
    launch.machine = machine;
    std::string others;
    std::size_t too_many = is_large(claim) ? 2 : 1;
    for (const auto& [uid, other] : launches_)
      if (&other != &launch && !other.machine.empty() && !launch.owner.empty() &&
          other.owner == launch.owner) {
        others += other.claim + ", ";
        if (--too_many == 0 && wrong.empty())
          wrong = "a machine more than it needs for one Workspace: " + others + launch.claim;
      }
  }
  ++launch.stage;
  if (launch.stage == registered) machines_.boot(launch.machine);
  show(claim, launch);
  return true;
}

void CloudModel::control(const Json& claim) {
  const std::string uid = claim["metadata"]["uid"], name = claim["metadata"]["name"];
  const bool is_known = launches_.contains(uid);
  if (is_going(claim)) {
    if (dice_.healed || dice_.below(3) == 0)
      end(claim, launches_[uid]);  // known or not
    else
      is_late_ = true;
    return;
  }
  if (!is_known) {
    Json held = named(cluster::node_claims, name);
    held["metadata"]["finalizers"] = {finalizer};
    if (!cluster_.apply({{cluster::node_claims, "", name}, held.dump(), "termination", ""}).ok())
      return;
    // Of a pool Karpenter makes the next one while the last one still ends.
    const bool is_pools = claim["metadata"].contains("ownerReferences");
    const std::string owner =
        is_pools ? "" : word_at(claim, "/metadata/annotations/kairo.dev~1workspace-uid");
    launches_[uid] = {name, workspace_of(claim), owner, "", 0, is_pools};
    return;
  }
  Launch& launch = launches_[uid];
  if (launch.stage < with_gpu && (dice_.healed || dice_.below(2) == 0)) advance(claim, launch);
}

bool CloudModel::step() {
  const std::uint64_t before = cluster_.version();
  bool is_busy = false;
  for (const auto& [uid, launch] : launches_) is_busy = is_busy || launch.stage < with_gpu;
  if (before == version_ && !is_busy && !is_late_) return false;
  is_late_ = false;
  control_pools();
  for (const Json& claim : all(cluster::node_claims)) control(claim);
  note_agents();
  const bool changed = cluster_.version() != before || is_busy;
  version_ = changed ? 0 : before;
  return changed;
}

void CloudModel::take_a_spot_machine() {
  for (const Json& claim : all(cluster::node_claims)) {
    const auto launch = launches_.find(claim["metadata"]["uid"]);
    if (launch == launches_.end() || launch->second.machine.empty() || is_going(claim)) continue;
    return refuse(claim, "SpotInterrupted");
  }
}
void CloudModel::scale_a_pool() {
  for (const Json& pool : all(cluster::node_pools)) {
    const Json patch = {{"spec", {{"replicas", 1 + dice_.below(3)}}}};
    cluster::WriteOptions options;
    options.manager = "somebody";
    (void)cluster_.patch({cluster::node_pools, "", pool["metadata"]["name"]}, patch.dump(),
                         options);
    return;
  }
}
void CloudModel::ask_as_kaito(const std::string& workspace) {
  const auto there = cluster_.get({cluster::workspaces, "default", workspace});
  if (!there.ok()) return;
  const Json object = Json::parse(there.value());
  const Json& meta = at(object, "/metadata");
  if (!meta.contains("finalizers") || meta.contains("deletionTimestamp")) return;  // as KAITO does
  const std::string name = "ws0000000" + workspace + "0";
  Json claim = named(cluster::node_claims, name);
  claim["metadata"]["labels"] = {{"kaito.sh/workspace", workspace},
                                 {"kaito.sh/workspacenamespace", "default"}};
  claim["spec"]["requirements"] =
      Json::array({{{"key", "node.kubernetes.io/instance-type"},
                    {"operator", "In"},
                    {"values", {at(object, "/resource/instanceType")}}}});
  (void)cluster_.apply({{cluster::node_claims, "", name}, claim.dump(), "kaito", ""});
}

std::string CloudModel::left_of(const std::string& workspace) {
  for (const auto& kind : {cluster::node_pools, cluster::node_claims})
    for (const Json& object : all(kind))
      if (workspace_of(object) == workspace) return object.dump();
  return {};
}
std::size_t CloudModel::machines_of(const std::string& workspace) {
  std::size_t out = 0;
  for (const auto& [uid, launch] : launches_)
    if (launch.workspace == workspace && (!launch.owner.empty() || launch.is_pools)) ++out;
  return out;
}
}  // namespace kairo::sim
