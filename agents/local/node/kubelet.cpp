// agents/local/node/kubelet.cpp - one pass over a pod: look, start, probe, report.
#include "agents/local/node/kubelet.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "agents/cluster/kinds.h"
#include "agents/local/apiserver/objects.h"
#include "agents/local/node/pod_files.h"
#include "agents/local/node/volumes.h"
#include "schemas/base/log.h"

namespace kairo::cluster {
namespace {
namespace fs = std::filesystem;
constexpr std::int64_t backoff_ms_max = 300'000;
constexpr std::int64_t healthy_ms = 600'000;  // who ran this long starts again at once
constexpr const char* kubelet_manager = "kairo-local-kubelet";

// What processes get of our own environment: how to find things, nothing that is secret.
std::vector<std::string> inherited_env() {
  std::vector<std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::string name = text.substr(0, text.find('='));
    bool is_wanted = false;
    for (const char* wanted :
         {"PATH", "HOME", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE",
          "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy",
          "no_proxy", "KAIRO_CACHE", "KAIRO_MODELS", "KAIRO_LOG", "OMP_NUM_THREADS"})
      is_wanted = is_wanted || name == wanted;
    if (is_wanted) out.push_back(text);
  }
  return out;
}
std::string attempt_dir(const std::string& dir, int attempt) {
  return dir + "/" + std::to_string(attempt);
}
bool is_label(const std::string& name) {
  return !name.empty() && name.size() <= 63 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos;
}
void touch(const std::string& path) {
  std::ofstream file(path);
}
std::string policy_of(const Json& pod) {
  return text(pod, {"spec", "restartPolicy"});
}
// Ready and started as the status says, when it speaks of this attempt: an adopted container does
// not become unready for a moment.
void recall(const Json& pod, const ContainerView& view, ProbeSet& probes) {
  for (const Json& c : at(pod, {"status", "containerStatuses"}))
    if (text(c, {"name"}) == view.name && integer(c, {"restartCount"}, -1) == view.attempt &&
        at(c, {"state", "running"}).is_object()) {
      probes.is_ready = flag(c, {"ready"});
      probes.is_started = flag(c, {"started"});
    }
}
}  // namespace

Kubelet::Kubelet(MemoryCluster& cluster, EventRecorder& recorder, const Clock& clock,
                 KubeletOptions options)
    : cluster_(cluster),
      recorder_(recorder),
      clock_(clock),
      options_(std::move(options)),
      base_env_(inherited_env()) {}

std::string Kubelet::pod_dir(const Json& pod) const {
  return options_.state_dir + "/pods/" + text(pod, {"metadata", "uid"});
}

void Kubelet::tend(const Json& pod) {
  processes_.reap();
  if (!text(pod, {"metadata", "deletionTimestamp"}).empty()) return end(pod);
  const std::string phase = text(pod, {"status", "phase"});
  if (phase == "Succeeded" || phase == "Failed") return;
  PodView view;
  bool may_start = true;
  for (const Json& container : at(pod, {"spec", "initContainers"})) {
    const Place place{pod, container, pod_dir(pod) + "/" + text(container, {"name"}), true};
    view.init.push_back(tend_container(place, may_start));
    const ContainerView& last = view.init.back();
    may_start = may_start && last.process.phase == ProcessState::Phase::exited &&
                last.process.exit_code == 0;
  }
  for (const Json& container : at(pod, {"spec", "containers"})) {
    const Place place{pod, container, pod_dir(pod) + "/" + text(container, {"name"}), false};
    view.containers.push_back(tend_container(place, may_start));
    may_start = may_start && !view.containers.back().is_refused;
  }
  const Json status = pod_status(pod, view, clock_.now_ms());
  if (status["phase"] == "Failed")  // no container outlives its pod
    for_each_attempt(pod_dir(pod), [](const std::string& dir) { send_signal(dir, SIGKILL); });
  if (status == at(pod, {"status"})) return;
  const Json body = {{"apiVersion", "v1"},
                     {"kind", "Pod"},
                     {"metadata", {{"uid", text(pod, {"metadata", "uid"})}}},
                     {"status", status}};
  const auto written =
      cluster_.apply({{pods, text(pod, {"metadata", "namespace"}), text(pod, {"metadata", "name"})},
                      body.dump(),
                      kubelet_manager,
                      "status"});
  if (!written.ok() && written.error().code == Code::unavailable)
    log::warn("pod status not written", {{"error", written.error().what}});
}

ContainerView Kubelet::tend_container(const Place& place, bool may_start) {
  ContainerView view;
  view.name = text(place.container, {"name"});
  view.image = text(place.container, {"image"});
  if (!is_label(view.name)) {  // it becomes a folder
    view.is_refused = true;
    view.waiting_reason = "CreateContainerError";
    view.waiting_message =
        "container name \"" + view.name.substr(0, 63) + "\" is not a DNS label (a-z, 0-9, '-')";
    return view;
  }
  view.attempt = latest_attempt(place.dir);
  if (view.attempt >= 0) view.process = look_at(attempt_dir(place.dir, view.attempt));
  switch (view.process.phase) {
    case ProcessState::Phase::absent:
      if (may_start) start(place, std::max(view.attempt, 0), view);
      break;
    case ProcessState::Phase::running:
      probe(place, view);
      break;
    case ProcessState::Phase::exited: {
      note_end(place, view);
      if (!is_restarted(policy_of(place.pod), place.is_init, view.process.exit_code)) break;
      view.is_restarting = true;
      const ProcessState& p = view.process;
      const std::int64_t backoff =
          p.ended_ms - p.started_ms >= healthy_ms
              ? 0
              : std::min(options_.backoff_ms << std::min(view.attempt, 10), backoff_ms_max);
      if (clock_.now_ms() >= p.ended_ms + backoff) {
        start(place, view.attempt + 1, view);
        break;
      }
      view.waiting_reason = "CrashLoopBackOff";
      view.waiting_message = "back-off " + std::to_string((backoff + 999) / 1000) +
                             "s restarting failed container=" + view.name +
                             " pod=" + text(place.pod, {"metadata", "name"});
      recorder_.record(place.pod, "Warning", "BackOff",
                       "Back-off restarting failed container " + view.name);
      break;
    }
  }
  return view;
}

Result<ContainerPlan> Kubelet::plan(const Place& place, const std::string& dir,
                                    ContainerView& view) {
  auto folders = prepare_volumes(cluster_, place.pod, pod_dir(place.pod) + "/volumes");
  if (!folders.ok()) {
    view.waiting_reason =
        folders.error().code == Code::invalid ? "FailedMount" : "ContainerCreating";
    recorder_.record(place.pod, "Warning", "FailedMount", folders.error().what);
    return folders.error();
  }
  const std::string ns = text(place.pod, {"metadata", "namespace"});
  PodContext context{std::move(folders).value(),
                     ports_of(place.pod),
                     text(place.pod, {"metadata", "annotations", "kairo.dev/gpus"}),
                     options_.programs,
                     options_.program_dir,
                     base_env_,
                     [this, ns](bool is_secret, const std::string& name, const std::string& key) {
                       return value_of(cluster_, is_secret, ns, name, key);
                     }};
  auto planned = plan_container(place.pod, place.container, context, dir + "/termination-log");
  if (!planned.ok()) {
    const bool is_absent = planned.error().code == Code::not_found;
    const bool is_foreign = planned.error().what.starts_with("local mode runs");
    view.waiting_reason = is_absent    ? "CreateContainerConfigError"
                          : is_foreign ? "ErrImageNeverPull"
                                       : "CreateContainerError";
    return planned.error();
  }
  if (access(planned.value().program.c_str(), X_OK) == 0) return planned;
  view.waiting_reason = "ErrImageNeverPull";
  return Error{Code::invalid, planned.value().program + " is not there; build and install it"};
}

void Kubelet::start(const Place& place, int attempt, ContainerView& view) {
  const std::string dir = attempt_dir(place.dir, attempt);
  const auto planned = plan(place, dir, view);
  if (!planned.ok()) {
    view.waiting_message = planned.error().what;
    view.is_refused = planned.error().code == Code::invalid;
    if (view.is_refused)
      recorder_.record(place.pod, "Warning", "Failed", "Error: " + planned.error().what);
    return;
  }
  std::error_code error;
  fs::create_directories(dir, error);
  fs::permissions(pod_dir(place.pod), fs::perms::owner_all, error);
  const auto groups = make_cgroups(cgroup_name(dir), planned.value().limits);
  if (!groups.ok())
    recorder_.record(
        place.pod, "Warning", "LimitsNotEnforced",
        "limits of container " + view.name + " are not enforced: " + groups.error().what);
  const std::string wanted_cwd = text(place.container, {"workingDir"});
  const ContainerPlan& p = planned.value();
  const Status started =
      processes_.start({dir, p.program, p.argv, p.env, wanted_cwd.empty() ? dir : wanted_cwd,
                        groups.ok() ? groups.value() : std::vector<std::string>{}});
  if (!started.ok()) {
    view.waiting_reason = "CreateContainerError";
    view.waiting_message = started.error().what;
    return;
  }
  view.attempt = attempt;
  view.process = look_at(dir);
  view.is_restarting = false;
  recorder_.record(place.pod, "Normal", "Started", "Started container " + view.name);
  if (view.process.phase == ProcessState::Phase::running) probe(place, view);
  if (view.process.phase == ProcessState::Phase::exited) view = tend_container(place, false);
}

void Kubelet::note_end(const Place& place, ContainerView& view) {
  const std::string dir = attempt_dir(place.dir, view.attempt);
  probes_.erase(dir);
  if (!fs::exists(dir + "/seen")) {
    const std::string group = cgroup_name(dir);
    if (view.process.exit_code != 0 && was_out_of_memory(group)) {
      touch(dir + "/oom");
      recorder_.record(place.pod, "Warning", "OOMKilled",
                       "container " + view.name + " was killed at its memory limit of " +
                           text(place.container, {"resources", "limits", "memory"}));
    }
    remove_cgroups(group);
    touch(dir + "/seen");
  }
  view.is_out_of_memory = fs::exists(dir + "/oom");
  view.message = last_words(dir, view.process.exit_code != 0);
}

void Kubelet::probe(const Place& place, ContainerView& view) {
  const std::string dir = attempt_dir(place.dir, view.attempt);
  ProbeSet& probes = probes_[dir];
  if (probes.begun_ms == 0) {
    probes.begun_ms = clock_.monotonic_ms();
    recall(place.pod, view, probes);
  }
  const auto step = [&](ProbeLoop& loop, const char* kind) {
    const Json& spec = at(place.container, {kind});
    const int wanted = container_port(place.pod, at(spec, {"httpGet", "port"}));
    const auto ours = ports_of(place.pod);
    const auto found = ours.find(wanted);
    const auto turn =
        loop.step(spec, found == ours.end() ? wanted : found->second, probes.begun_ms, clock_);
    if (turn == ProbeLoop::Turn::failed)
      recorder_.record(place.pod, "Warning", "Unhealthy",
                       std::string(kind) + " failed: " + loop.why());
    return turn;
  };
  const auto give_up = [&](const char* kind) {
    recorder_.record(place.pod, "Normal", "Killing",
                     "Container " + view.name + " failed " + kind + ", will be restarted");
    send_signal(dir, SIGKILL);
  };
  if (!probes.is_started) {
    const auto turn = has_http_probe(place.container, "startupProbe")
                          ? step(probes.startup, "startupProbe")
                          : ProbeLoop::Turn::passed;
    probes.is_started = turn == ProbeLoop::Turn::passed;
    if (turn == ProbeLoop::Turn::failed) give_up("startup probe");
  }
  if (probes.is_started) {
    const auto turn = has_http_probe(place.container, "readinessProbe")
                          ? step(probes.readiness, "readinessProbe")
                          : ProbeLoop::Turn::passed;
    if (turn != ProbeLoop::Turn::none) probes.is_ready = turn == ProbeLoop::Turn::passed;
    if (has_http_probe(place.container, "livenessProbe") &&
        step(probes.liveness, "livenessProbe") == ProbeLoop::Turn::failed)
      give_up("liveness probe");
  }
  view.is_started = probes.is_started;
  view.is_ready = probes.is_started && probes.is_ready;
}

void Kubelet::end(const Json& pod) {
  const std::string dir = pod_dir(pod);
  const bool is_first = !fs::exists(dir + "/ending") && fs::exists(dir);
  const bool is_late =
      clock_.now_ms() >= parse_rfc3339(text(pod, {"metadata", "deletionTimestamp"}));
  if (is_first) touch(dir + "/ending");
  bool is_running = false;
  for_each_attempt(dir, [&](const std::string& attempt) {
    if (look_at(attempt).phase != ProcessState::Phase::running) {
      remove_cgroups(cgroup_name(attempt));
      return;
    }
    is_running = true;
    if (is_first) send_signal(attempt, SIGTERM);
    if (is_late) send_signal(attempt, SIGKILL);
  });
  if (is_first && is_running) recorder_.record(pod, "Normal", "Killing", "Stopping containers");
  if (is_running) return;
  std::error_code error;
  fs::remove_all(dir, error);
  RemoveOptions options;
  options.uid = text(pod, {"metadata", "uid"});
  options.now = true;
  const Status removed = cluster_.remove(
      Ref{pods, text(pod, {"metadata", "namespace"}), text(pod, {"metadata", "name"})}, options);
  if (!removed.ok() && removed.error().code != Code::not_found)
    log::warn("pod not removed", {{"error", removed.error().what}});
}

void Kubelet::sweep(const std::set<std::string>& pod_uids) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(options_.state_dir + "/pods", error)) {
    if (pod_uids.contains(entry.path().filename())) continue;
    bool is_running = false;
    for_each_attempt(entry.path(), [&](const std::string& attempt) {
      is_running = is_running || look_at(attempt).phase == ProcessState::Phase::running;
      send_signal(attempt, SIGKILL);
      remove_cgroups(cgroup_name(attempt));
    });
    std::error_code ignored;
    if (!is_running) fs::remove_all(entry.path(), ignored);
  }
  std::erase_if(probes_, [](const auto& known) { return !fs::exists(known.first); });
}

std::map<int, int> ports_of(const Json& pod) {
  std::map<int, int> out;
  const Json map =
      Json::parse(text(pod, {"metadata", "annotations", "kairo.dev/ports"}), nullptr, false);
  if (map.is_object())
    for (const auto& [port, ours] : map.items())
      if (ours.is_number_integer()) out[std::atoi(port.c_str())] = ours;
  return out;
}
int container_port(const Json& pod, const Json& port) {
  if (port.is_number_integer()) return port;
  for (const Json& container : at(pod, {"spec", "containers"}))
    for (const Json& candidate : at(container, {"ports"}))
      if (port.is_string() && text(candidate, {"name"}) == port)
        return static_cast<int>(integer(candidate, {"containerPort"}));
  return 0;
}
}  // namespace kairo::cluster
