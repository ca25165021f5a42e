// tests/sim/kubelet.cpp - one step: controllers look, then each pod does a little.
#include "tests/sim/kubelet.h"

#include <algorithm>
#include <sstream>

#include "agents/cluster/kinds.h"
#include "agents/local/apiserver/objects.h"
#include "tests/sim/json_at.h"

namespace kairo::sim {
namespace {
using Json = nlohmann::json;
constexpr unsigned steps_total = 3, backoff_limit = 6;

bool is_leaving(const Json& object) {
  return at(object, "/metadata").contains("deletionTimestamp");
}
std::string urls_of(const Json& pod_spec) {
  for (const Json& container : at(pod_spec, "/initContainers"))
    for (const Json& variable : at(container, "/env"))
      if (variable["name"] == "DATA_URLS") return variable["value"];
  return {};
}
// Its places' nodes, in the order of its pods.
std::vector<std::string> nodes_of(const Json& workload) {
  const Json& place = at(workload, "/metadata/annotations/kairo.dev~1place");
  std::vector<std::string> out;
  std::istringstream places(place.is_string() ? place.get<std::string>() : "");
  for (std::string one; std::getline(places, one, ',');)
    out.push_back(one.substr(0, one.find('/')));
  return out.empty() ? std::vector<std::string>{""} : out;
}
cluster::Apply status_of(const cluster::Kind& kind, const Json& meta, const Json& status) {
  const Json patch = {
      {"apiVersion", kind.group.empty() ? kind.version : kind.group + "/" + kind.version},
      {"kind", kind.kind},
      {"metadata", {{"name", meta["name"]}, {"namespace", meta["namespace"]}}},
      {"status", status}};
  return {{kind, meta["namespace"], meta["name"]}, patch.dump(), "kubelet", "status"};
}
}  // namespace

void KubeletModel::say(const std::string& what) {
  dice_.journal.note("kubelet", what);
}
bool KubeletModel::has_pod(const std::string& owner, bool running) const {
  return std::any_of(memory_.pods.begin(), memory_.pods.end(), [&](const auto& row) {
    return row.second.owner == owner && (!running || row.second.stage == Stage::running);
  });
}
void KubeletModel::lose(const std::string& node) {
  for (auto& [name, pod] : memory_.pods)
    if (pod.node == node) pod.stage = Stage::pending;
}
void KubeletModel::put_back(const Memory& memory) {
  memory_ = memory;
  version_ = 0;
  ++put_back_;
}
bool KubeletModel::serves(const std::string& name, const std::string& revision,
                          std::size_t nodes) const {
  std::set<std::string> on;
  for (std::size_t i = 0; i < nodes; ++i) {
    const auto pod = memory_.pods.find(name + "-" + std::to_string(i));
    const bool is_there = pod != memory_.pods.end() && pod->second.stage == Stage::running &&
                          pod->second.revision == revision && !machines_.is_lost(pod->second.node);
    if (is_there) on.insert(pod->second.node);
  }
  return on.size() == nodes;
}

bool KubeletModel::runs(const std::string& node, const std::string& key) const {
  return std::any_of(memory_.pods.begin(), memory_.pods.end(), [&](const auto& row) {
    const Pod& pod = row.second;
    return pod.is_server && pod.key == key && pod.node == node && pod.stage == Stage::running;
  });
}

void KubeletModel::start(const Json& owner, const std::string& pod_name, const std::string& node,
                         bool is_server) {
  const Json& meta = owner["metadata"];
  const Json& pod_template = at(owner, "/spec/template");
  const Json& notes = at(pod_template, "/metadata/annotations");
  Json object = {{"apiVersion", "v1"},
                 {"kind", "Pod"},
                 {"metadata", pod_template["metadata"]},
                 {"spec", {{"nodeName", node}, {"terminationGracePeriodSeconds", 30}}}};
  object["metadata"]["name"] = pod_name;
  object["metadata"]["namespace"] = meta["namespace"];
  object["metadata"]["ownerReferences"] = Json::array({{{"apiVersion", owner["apiVersion"]},
                                                        {"kind", owner["kind"]},
                                                        {"name", meta["name"]},
                                                        {"uid", meta["uid"]},
                                                        {"controller", true},
                                                        {"blockOwnerDeletion", true}}});
  const auto applied = cluster_.apply(
      {{cluster::pods, meta["namespace"], pod_name}, object.dump(), "controller", ""});
  if (!applied.ok()) return;
  Pod pod;
  pod.name = pod_name;
  pod.owner = meta["uid"];
  pod.node = node;
  pod.workspace = meta["name"];
  pod.revision = notes["kairo.dev/revision"];
  pod.key = notes["kairo.dev/workspace-uid"].get<std::string>() + "/" + pod.revision;
  pod.urls = urls_of(pod_template["spec"]);
  pod.is_server = is_server;
  memory_.pods[pod_name] = pod;
  say("starts " + pod_name);
}

void KubeletModel::control_job(const Json& job) {
  const Json& meta = job["metadata"];
  JobState& state = memory_.jobs[meta["uid"]];
  const bool finished = state.succeeded > 0 || state.gave_up;
  const bool is_suspended = at(job, "/spec/suspend") == true;
  const bool wants_pod =
      !finished && !is_leaving(job) && !is_suspended && !has_pod(meta["uid"], false);
  if (is_suspended)
    for (const auto& [name, pod] : memory_.pods)
      if (pod.owner == meta["uid"]) (void)cluster_.remove({cluster::pods, "default", name}, "");
  if (wants_pod && !dice_.healed && dice_.below(2) != 0)
    is_late_ = true;
  else if (wants_pod)
    start(job, meta["name"].get<std::string>() + "-" + std::to_string(++made_),
          nodes_of(job).front(), false);
  Json status = {{"active", has_pod(meta["uid"], false) ? 1 : 0},
                 {"ready", has_pod(meta["uid"], true) ? 1 : 0},
                 {"succeeded", state.succeeded},
                 {"failed", state.failed},
                 {"conditions", Json::array()}};
  if (finished)
    status["conditions"].push_back(
        {{"type", state.gave_up ? "Failed" : "Complete"},
         {"status", "True"},
         {"reason", state.gave_up ? "BackoffLimitExceeded" : "Completed"}});
  if (state.shown == status) return;
  if (cluster_.apply(status_of(cluster::jobs, meta, status)).ok()) state.shown = status;
}

void KubeletModel::control_ordinal(const Json& set, std::size_t ordinal, const std::string& node) {
  const Json& meta = set["metadata"];
  const std::string name = meta["name"].get<std::string>() + "-" + std::to_string(ordinal);
  const auto pod = memory_.pods.find(name);
  const Json& replicas = at(set, "/spec/replicas");
  const bool is_wanted = replicas.is_number() && ordinal < replicas.get<std::size_t>();
  if (pod == memory_.pods.end()) {
    if (!is_leaving(set) && is_wanted) start(set, name, node, true);
  } else if (!is_wanted || pod->second.node != node ||
             pod->second.revision !=
                 at(set, "/spec/template/metadata/annotations/kairo.dev~1revision")) {
    (void)cluster_.remove({cluster::pods, meta["namespace"], name}, "");  // replaced: it ends first
  }
}
void KubeletModel::control_server(const Json& set) {
  const Json& meta = set["metadata"];
  const std::vector<std::string> nodes = nodes_of(set);
  for (std::size_t i = 0; i < nodes.size(); ++i) control_ordinal(set, i, nodes[i]);
  std::size_t ready = nodes.size();
  const Json& revision = at(set, "/metadata/annotations/kairo.dev~1revision");
  while (ready > 0 && !serves(meta["name"], revision, ready)) --ready;
  const Json status = {{"replicas", at(set, "/spec/replicas")}, {"readyReplicas", ready}};
  if (memory_.servers[meta["uid"]] == status) return;
  if (cluster_.apply(status_of(cluster::stateful_sets, meta, status)).ok())
    memory_.servers[meta["uid"]] = status;
}

void KubeletModel::show(const Pod& pod, Json status) {
  (void)cluster_.apply(
      status_of(cluster::pods, {{"name", pod.name}, {"namespace", "default"}}, std::move(status)));
}
void KubeletModel::end(const Pod& pod, const char* phase, int exit_code, const char* reason) {
  say("ends " + pod.name + " " + reason);
  const Json ended = {{"exitCode", exit_code}, {"reason", reason}};
  show(pod, {{"phase", phase},
             {"containerStatuses",
              Json::array({{{"name", pod.workspace}, {"state", {{"terminated", ended}}}}})}});
}

// One step of a trainer. false: it has ended.
bool KubeletModel::train(Pod& pod) {
  JobState& job = memory_.jobs[pod.owner];
  const auto fails = [&](int code, const char* why, bool for_good) {
    end(pod, "Failed", code, why);
    ++job.failed;
    job.gave_up = for_good || job.failed > backoff_limit;
    if (job.gave_up) failed.insert(pod.key);
    return false;
  };
  if (pod.urls.ends_with("/bad")) return fails(2, "Error", true);
  DiskModel& disk = machines_.disk(pod.node);
  const bool is_stuck = machines_.hung || machines_.ill.contains(pod.node);
  if (!disk.adapters.contains(pod.key) && is_stuck) return true;
  if (!disk.adapters.contains(pod.key)) {  // else its trainer sees it and ends at once
    if (dice_.fault(20)) return fails(137, "OOMKilled", false);
    unsigned& step = disk.steps[pod.key];
    if (step < steps_total) {
      ++step;
      return true;
    }
    disk.adapters[pod.key] = pod.key + "|" + pod.urls;
    // A wish that comes back when its node is not ready moves, and its adapter stays behind.
    const unsigned again = machines_.losses + machines_.illnesses + put_back_;
    if (++trained[pod.node + "/" + pod.key] > 1 + again && wrong.empty())
      wrong = "a revision that had been trained was trained again: " + pod.key;
  }
  end(pod, "Succeeded", 0, "Completed");
  ++job.succeeded;
  return false;
}

bool KubeletModel::run(Pod& pod) {
  const cluster::Ref ref{cluster::pods, "default", pod.name};
  const auto object = cluster_.get(ref);
  if (!object.ok()) return false;
  const bool leaves = is_leaving(Json::parse(object.value()));
  const bool is_lost = machines_.is_lost(pod.node);
  const DiskModel& disk = machines_.disk(pod.node);
  const bool is_prepared = disk.dirs.contains(pod.key);
  if (pod.stage == Stage::running && !is_lost && !is_prepared && put_back_ > 0)
    pod.stage = Stage::pending;  // it ended long ago
  if (pod.stage == Stage::running && !is_lost && !is_prepared && wrong.empty())
    wrong = "a run directory was removed under " + pod.name;
  const auto take_away = [&] {  // the kubelet's last word about a pod
    say("takes away " + pod.name);
    cluster::RemoveOptions last_word;
    last_word.now = true;
    (void)cluster_.remove(ref, last_word);
    return false;
  };
  // Its node is gone: what ran there is collected; what was to run there waits for it.
  const bool is_orphan = is_lost && pod.was_bound;
  if ((leaves || is_orphan) && (dice_.healed || dice_.below(4) == 0)) return take_away();
  if (is_lost) return true;
  if (pod.stage == Stage::running) {
    if (!pod.is_server) return train(pod) || (leaves && take_away());
    if (!dice_.fault(60)) return true;
    pod.stage = Stage::pending;  // it died; the kubelet starts it again
    return true;
  }
  if (!dice_.healed && dice_.below(3) == 0) {
    const Json unschedulable = {
        {"type", "PodScheduled"}, {"status", "False"}, {"reason", "Unschedulable"}};
    if (!pod.was_shown)
      show(pod, {{"phase", "Pending"}, {"conditions", Json::array({unschedulable})}});
    pod.was_shown = true;
    return true;
  }
  if (!is_prepared && machines_.losses + put_back_ > 0) return true;  // hostPath: Directory
  if (!is_prepared && wrong.empty()) wrong = pod.name + " runs without its run directory";
  for (const auto& [name, other] : memory_.pods)
    if (&other != &pod && other.workspace == pod.workspace && other.stage == Stage::running &&
        (other.owner != pod.owner || other.key != pod.key || !pod.is_server) &&
        !machines_.is_lost(other.node) && wrong.empty())
      wrong = "two at a time for one Workspace: " + name + " and " + pod.name;
  pod.stage = Stage::running;
  pod.was_bound = true;
  if (!pod.is_server) ++machines_.disk(pod.node).attempts[pod.key];
  if (const auto step = disk.steps.find(pod.key); !pod.is_server)
    begun[pod.key] = step == disk.steps.end() ? 0 : step->second;
  is_late_ = true;  // controllers look again, be it that the pod's object shows what it did before
  say("runs " + pod.name);
  machines_.disk(pod.node).loaded.erase(pod.key);  // a process begins with nothing
  show(pod, {{"phase", "Running"}, {"podIP", "10.0.0.7"}});
  return true;
}

bool KubeletModel::step() {
  const std::uint64_t before = cluster_.version();
  if (before != version_) {  // controllers look when something has changed
    is_late_ = false;
    (void)cluster_.collect_garbage();
    for (const bool is_job : {true, false}) {
      const auto listing =
          cluster_.list({is_job ? cluster::jobs : cluster::stateful_sets, "default", ""});
      if (!listing.ok()) continue;
      for (const std::string& text : listing.value().items) {
        const Json object = Json::parse(text);
        is_job ? control_job(object) : control_server(object);
      }
    }
  }
  const std::size_t pods = memory_.pods.size();
  bool is_training = false;
  for (auto pod = memory_.pods.begin(); pod != memory_.pods.end();) {
    is_training = is_training || (!pod->second.is_server && !machines_.is_lost(pod->second.node) &&
                                  !machines_.ill.contains(pod->second.node));
    pod = run(pod->second) ? std::next(pod) : memory_.pods.erase(pod);
  }
  const bool changed =
      is_training || is_late_ || memory_.pods.size() != pods || cluster_.version() != before;
  version_ = changed ? 0 : before;
  return changed;
}
}  // namespace kairo::sim
