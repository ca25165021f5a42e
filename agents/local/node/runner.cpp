// agents/local/node/runner.cpp - one pass: node, claims, workloads, scheduling, pods, Services.
#include "agents/local/node/runner.h"

#include <algorithm>
#include <thread>

#include "agents/cluster/kinds.h"
#include "agents/local/local_cluster.h"
#include "agents/local/node/free_port.h"
#include "agents/local/node/job.h"
#include "agents/local/node/schedule.h"
#include "agents/local/node/volumes.h"
#include "schemas/base/log.h"

namespace kairo::cluster {
namespace {
constexpr std::int64_t heartbeat_ms = 300'000;
constexpr std::int64_t garbage_every_ms = 1000;
constexpr std::int64_t pass_ms = 50, idle_ms = 1000;
constexpr std::int64_t stop_ms = 100;  // how soon a stop is seen
constexpr const char* job_manager = "kairo-local";

Ref ref_of(const Kind& kind, const Json& object) {
  return {kind, text(object, {"metadata", "namespace"}), text(object, {"metadata", "name"})};
}
Json head_of(const Kind& kind, const Json& object) {  // the uid: never bring back what is gone
  return {{"apiVersion", api_version(kind)},
          {"kind", kind.kind},
          {"metadata", {{"uid", text(object, {"metadata", "uid"})}}}};
}
void warn(const std::string& what, const Status& status) {
  if (!status.ok() && status.error().code != Code::not_found &&
      status.error().code != Code::conflict)
    log::warn(what, {{"error", status.error().what}});
}
Status status_of(const Result<std::string>& result) {
  return result.ok() ? ok() : Status(result.error());
}
// One object that is not of its kind's form must not stop the others: its error is said, once a
// pass, and it is left as it is.
template <class Work>
void guarded(const Json& object, const Work& work) {
  try {
    work();
  } catch (const Json::exception& e) {
    log::warn("object passed over", {{"kind", text(object, {"kind"})},
                                     {"name", text(object, {"metadata", "name"})},
                                     {"error", e.what()}});
  }
}
bool is_owned(const Json& object, const std::string& uid) {
  for (const Json& owner : at(object, {"metadata", "ownerReferences"}))
    if (text(owner, {"uid"}) == uid) return true;
  return false;
}
bool is_selected(const Json& labels, const Json& selector) {
  if (!selector.is_object() || selector.empty() || !labels.is_object()) return false;
  return std::all_of(selector.items().begin(), selector.items().end(), [&](const auto& wanted) {
    return labels.contains(wanted.key()) && labels[wanted.key()] == wanted.value();
  });
}
}  // namespace

Runner::Runner(MemoryCluster& cluster, const Clock& clock, const RunnerOptions& options)
    : cluster_(cluster),
      clock_(clock),
      options_(options),
      recorder_(cluster, clock),
      kubelet_(cluster, recorder_, clock, options.kubelet),
      machine_(this_machine()) {}

void Runner::run(const std::atomic<bool>& stop) {
  while (!stop) {
    const std::uint64_t version = cluster_.version();
    pass();
    std::int64_t wait = has_running_ ? pass_ms : idle_ms;
    if (look_again_ms_ > 0)
      wait = std::clamp<std::int64_t>(look_again_ms_ - clock_.now_ms(), 1, wait);
    // Our own writes count as changes too: a pass goes on from what the one before has written.
    for (; wait > 0 && !stop && cluster_.version() == version; wait -= stop_ms)
      cluster_.wait_past(version, std::min(wait, stop_ms));
  }
  if (options_.ends_pods) end_pods(options_.kubelet.state_dir);
}

std::vector<Json> Runner::all(const Kind& kind) {
  std::vector<Json> out;
  const auto listing = cluster_.list({kind, "", ""});
  if (listing.ok())
    for (const std::string& item : listing.value().items) out.push_back(Json::parse(item));
  return out;
}

void Runner::tend_node() {
  const std::int64_t now = clock_.now_ms();
  if (now - beat_ms_ < heartbeat_ms) return;
  for (const Json& node : all(nodes))  // this machine under another name
    if (text(node, {"metadata", "labels", "kairo.dev/local"}) == "true" &&
        text(node, {"metadata", "name"}) != machine_.name)
      warn("old node not removed",
           cluster_.remove(Ref{nodes, "", text(node, {"metadata", "name"})}, ""));
  for (const Apply& apply : node_applies(machine_, now))
    warn("node not written", status_of(cluster_.apply(apply)));
  beat_ms_ = now;
}

void Runner::write_status(const Kind& kind, const Json& object, const Json& status) {
  if (status.is_null() || status == at(object, {"status"})) return;
  Json body = head_of(kind, object);
  body["status"] = status;
  warn("status not written",
       status_of(cluster_.apply({ref_of(kind, object), body.dump(), job_manager, "status"})));
}

void Runner::tend_workload(const Kind& kind, const Json& object, World& world) {
  std::vector<Json> owned;
  for (const Json& pod : world.pod_list)
    if (is_owned(pod, text(object, {"metadata", "uid"}))) owned.push_back(pod);
  const WorkloadStep step =
      kind == jobs ? decide_job(object, owned, options_.job_backoff_ms, clock_.now_ms())
                   : decide_stateful_set(object, owned);
  if (step.look_again_ms > 0 && (look_again_ms_ == 0 || step.look_again_ms < look_again_ms_))
    look_again_ms_ = step.look_again_ms;
  const std::string ns = text(object, {"metadata", "namespace"});
  for (const std::string& name : step.remove)
    warn("pod not removed", cluster_.remove(Ref{pods, ns, name}, ""));
  for (const Json& pod : step.create) {
    const std::string name = text(pod, {"metadata", "name"});
    const auto made = cluster_.apply({{pods, ns, name}, pod.dump(), job_manager, ""});
    warn("pod not created", status_of(made));
    if (made.ok()) {
      recorder_.record(object, "Normal", "SuccessfulCreate", "Created pod: " + name);
      world.pod_list.push_back(Json::parse(made.value()));
    } else {
      recorder_.record(object, "Warning", "FailedCreate", made.error().what);
    }
  }
  write_status(kind, object, step.status);
  for (const Json& c : at(step.status, {"conditions"}))
    recorder_.record(object, text(c, {"type"}) == "Failed" ? "Warning" : "Normal",
                     text(c, {"type"}) == "Failed" ? text(c, {"reason"}) : "Completed",
                     text(c, {"message"}));
}

void Runner::schedule(Json& pod, World& world) {
  const std::string why = why_not(world.node, world.pod_list, pod);
  if (!why.empty()) {
    write_status(pods, pod, unschedulable_status(pod, why, clock_.now_ms()));
    recorder_.record(pod, "Warning", "FailedScheduling", why);
    return;
  }
  std::set<int> taken;
  for (const Json& other : world.pod_list)
    for (const auto& [port, ours] : ports_of(other)) taken.insert(ours);
  Json map = Json::object();
  for (const Json& container : at(pod, {"spec", "containers"}))
    for (const Json& port : at(container, {"ports"}))
      map[std::to_string(integer(port, {"containerPort"}))] = free_port(taken);
  Json body = head_of(pods, pod);
  body["metadata"]["annotations"] = {
      {"kairo.dev/ports", map.dump()},
      {"kairo.dev/gpus", free_gpus(world.node, world.pod_list, pod)}};
  body["spec"] = {{"nodeName", machine_.name}};
  const auto bound = cluster_.apply({ref_of(pods, pod), body.dump(), "kairo-local-scheduler", ""});
  warn("pod not bound", status_of(bound));
  if (!bound.ok()) return;
  pod = Json::parse(bound.value());
  recorder_.record(pod, "Normal", "Scheduled",
                   "Successfully assigned " + text(pod, {"metadata", "namespace"}) + "/" +
                       text(pod, {"metadata", "name"}) + " to " + machine_.name);
}

void Runner::announce(const Kind& kind, const Json& object, const std::string& address) {
  if (text(object, {"metadata", "annotations", "kairo.dev/local-address"}) == address) return;
  Json body = head_of(kind, object);
  body["metadata"]["annotations"] = {{"kairo.dev/local-address", address}};
  warn("address not written",
       status_of(cluster_.apply({ref_of(kind, object), body.dump(), "kairo-local-services", ""})));
}

void Runner::tend_service(const Json& service, const World& world, std::set<std::string>& keys) {
  if (text(service, {"spec", "clusterIP"}) == "None") return;
  const std::string ns = text(service, {"metadata", "namespace"});
  const Json& selector = at(service, {"spec", "selector"});
  const Json* target = nullptr;  // the first that is ready, else the first that runs
  for (const Json& pod : world.pod_list) {
    if (text(pod, {"metadata", "namespace"}) != ns || !holds_resources(pod) ||
        !is_selected(at(pod, {"metadata", "labels"}), selector))
      continue;
    if (target == nullptr || (is_pod_ready(pod) && !is_pod_ready(*target))) target = &pod;
  }
  const std::string old = text(service, {"metadata", "annotations", "kairo.dev/local-address"});
  bool is_first = true;
  for (const Json& port : at(service, {"spec", "ports"})) {
    const std::string key =
        text(service, {"metadata", "uid"}) + "/" + std::to_string(integer(port, {"port"}));
    keys.insert(key);
    const Json& wanted = port.contains("targetPort") ? port["targetPort"] : at(port, {"port"});
    int to = 0;
    if (target != nullptr) {
      const auto ours = ports_of(*target);
      const auto found = ours.find(container_port(*target, wanted));
      to = found == ours.end() ? container_port(*target, wanted) : found->second;
    }
    const int before =
        is_first && !old.empty() ? std::atoi(old.substr(old.rfind(':') + 1).c_str()) : 0;
    const auto chosen = forwarder_.forward(key, before, to);
    if (!chosen.ok()) {
      recorder_.record(service, "Warning", "NoPort", chosen.error().what);
      continue;
    }
    if (!is_first) continue;
    is_first = false;
    const std::string address = "127.0.0.1:" + std::to_string(chosen.value());
    announce(services, service, address);
    for (const Json& set : world.set_list)
      if (text(set, {"metadata", "namespace"}) == ns &&
          is_selected(at(set, {"spec", "template", "metadata", "labels"}), selector))
        announce(stateful_sets, set, address);
  }
}

// Looks at every object, so not after each change: an orphan is gone within a second.
void Runner::collect_garbage() {
  const std::int64_t now = clock_.now_ms(), due = collected_ms_ + garbage_every_ms;
  if (now >= collected_ms_ && now < due) {
    look_again_ms_ = due;
    return;
  }
  collected_ms_ = now;
  warn("garbage not collected", cluster_.collect_garbage());
}

// Who was applied first goes first: a pod stands in the queue with its workload's age, so a run
// that was interrupted comes before those that still wait.
void Runner::sort_by_turn(World& world) {
  std::map<std::string, std::string> since;  // by uid of the workload
  for (const auto* list : {&world.job_list, &world.set_list})
    for (const Json& owner : *list)
      since[text(owner, {"metadata", "uid"})] = text(owner, {"metadata", "creationTimestamp"});
  const auto turn = [&](const Json& pod) {
    const std::string born = text(pod, {"metadata", "creationTimestamp"});
    for (const Json& owner : at(pod, {"metadata", "ownerReferences"}))
      if (const auto found = since.find(text(owner, {"uid"})); found != since.end())
        return std::pair(found->second, born);
    return std::pair(born, born);
  };
  std::stable_sort(world.pod_list.begin(), world.pod_list.end(),
                   [&](const Json& a, const Json& b) { return turn(a) < turn(b); });
}

void Runner::pass() {
  look_again_ms_ = 0;
  tend_node();
  guarded(Json(), [&] {
    const auto claimed = tend_claims(cluster_, options_.kubelet.state_dir + "/volumes");
    if (!claimed.ok()) log::warn("claims", {{"error", claimed.error().what}});
  });
  collect_garbage();
  World world{all(jobs), all(stateful_sets), all(pods), all(services), Json()};
  const auto node = cluster_.get({nodes, "", machine_.name});
  if (!node.ok()) {
    beat_ms_ = 0;  // somebody removed it: write it again
    return;
  }
  world.node = Json::parse(node.value());
  for (const Json& job : world.job_list) guarded(job, [&] { tend_workload(jobs, job, world); });
  for (const Json& set : world.set_list)
    guarded(set, [&] { tend_workload(stateful_sets, set, world); });
  sort_by_turn(world);
  std::set<std::string> uids;
  has_running_ = false;
  for (Json& pod : world.pod_list) {
    uids.insert(text(pod, {"metadata", "uid"}));
    const bool is_ending = !text(pod, {"metadata", "deletionTimestamp"}).empty();
    if (text(pod, {"spec", "nodeName"}).empty() && !is_ending &&
        text(pod, {"status", "phase"}) != "Failed")
      guarded(pod, [&] { schedule(pod, world); });
    if (text(pod, {"spec", "nodeName"}).empty()) continue;
    has_running_ = has_running_ || holds_resources(pod) || is_ending;
    guarded(pod, [&] { kubelet_.tend(pod); });
  }
  kubelet_.sweep(uids);
  std::set<std::string> keys;
  for (const Json& service : world.service_list)
    guarded(service, [&] { tend_service(service, world, keys); });
  for (const std::string& key : forwarder_.keys())
    if (!keys.contains(key)) forwarder_.stop(key);
}
}  // namespace kairo::cluster
