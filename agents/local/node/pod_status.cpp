// agents/local/node/pod_status.cpp - phase, conditions, container states.
#include "agents/local/node/pod_status.h"

#include <algorithm>

#include "schemas/base/clock.h"

namespace kairo::cluster {
namespace {
using Phase = ProcessState::Phase;

bool is_done(const ContainerView& c) {
  return c.process.phase == Phase::exited && !c.is_restarting;
}
bool is_failed(const ContainerView& c) {
  return is_done(c) && c.process.exit_code != 0;
}

std::string phase_of(const PodView& view) {
  const auto refused = [](const ContainerView& c) { return c.is_refused; };
  for (const ContainerView& c : view.init)
    if (c.is_refused || is_failed(c)) return "Failed";
  const auto& all = view.containers;
  if (std::any_of(all.begin(), all.end(), refused)) return "Failed";
  if (!all.empty() && std::all_of(all.begin(), all.end(), is_done))
    return std::any_of(all.begin(), all.end(), is_failed) ? "Failed" : "Succeeded";
  const bool is_begun = std::any_of(all.begin(), all.end(), [](const ContainerView& c) {
    return c.process.phase != Phase::absent;
  });
  return is_begun ? "Running" : "Pending";
}

Json ended_state(const ContainerView& c) {
  const char* reason = c.is_out_of_memory         ? "OOMKilled"
                       : c.process.exit_code == 0 ? "Completed"
                                                  : "Error";
  Json out = {{"exitCode", c.process.exit_code},
              {"reason", reason},
              {"startedAt", rfc3339(c.process.started_ms)},
              {"finishedAt", rfc3339(c.process.ended_ms)}};
  if (!c.message.empty()) out["message"] = c.message;
  return {{"terminated", std::move(out)}};
}
Json container_status(const ContainerView& c) {
  Json out = {{"name", c.name},          {"image", c.image},
              {"imageID", ""},           {"ready", c.is_ready},
              {"started", c.is_started}, {"restartCount", std::max(c.attempt, 0)}};
  if (!c.waiting_reason.empty()) {
    out["state"] = {{"waiting", {{"reason", c.waiting_reason}, {"message", c.waiting_message}}}};
    if (c.process.phase == Phase::exited) out["lastState"] = ended_state(c);
  } else if (c.process.phase == Phase::running) {
    out["state"] = {{"running", {{"startedAt", rfc3339(c.process.started_ms)}}}};
  } else if (c.process.phase == Phase::exited) {
    out["state"] = ended_state(c);
  } else {
    out["state"] = {{"waiting", {{"reason", "PodInitializing"}}}};
  }
  return out;
}

// Keeps lastTransitionTime while the status stays.
Json condition(const Json& pod, const std::string& type, bool is_true, const std::string& reason,
               const std::string& message, std::int64_t now_ms) {
  Json out = {{"type", type},
              {"status", is_true ? "True" : "False"},
              {"lastTransitionTime", rfc3339(now_ms)}};
  if (!reason.empty()) out["reason"] = reason;
  if (!message.empty()) out["message"] = message;
  for (const Json& old : at(pod, {"status", "conditions"}))
    if (text(old, {"type"}) == type && text(old, {"status"}) == out["status"])
      out["lastTransitionTime"] = at(old, {"lastTransitionTime"});
  return out;
}
}  // namespace

bool is_restarted(const std::string& policy, bool is_init, int exit_code) {
  if (policy == "Never") return false;
  if (exit_code != 0) return true;
  return !is_init && policy != "OnFailure";
}

Json pod_status(const Json& pod, const PodView& view, std::int64_t now_ms) {
  const std::string phase = phase_of(view);
  Json out = {{"phase", phase}, {"hostIP", "127.0.0.1"}, {"podIP", "127.0.0.1"}};
  const std::string begun = text(pod, {"status", "startTime"});
  out["startTime"] = begun.empty() ? rfc3339(now_ms) : begun;
  for (const auto* list : {&view.init, &view.containers})
    for (const ContainerView& c : *list)
      if (c.is_refused) {
        out["reason"] = c.waiting_reason;
        out["message"] = c.waiting_message;
      }
  for (const ContainerView& c : view.init)
    out["initContainerStatuses"].push_back(container_status(c));
  for (const ContainerView& c : view.containers)
    out["containerStatuses"].push_back(container_status(c));
  const bool is_initialized =
      std::all_of(view.init.begin(), view.init.end(),
                  [](const ContainerView& c) { return is_done(c) && c.process.exit_code == 0; });
  std::string unready;
  for (const ContainerView& c : view.containers)
    if (!c.is_ready) unready += (unready.empty() ? "" : " ") + c.name;
  const bool is_ready = unready.empty() && phase == "Running";
  const std::string why = is_ready               ? ""
                          : phase == "Succeeded" ? "PodCompleted"
                          : phase == "Failed"    ? "PodFailed"
                                                 : "ContainersNotReady";
  const std::string what =
      why == "ContainersNotReady" ? "containers with unready status: [" + unready + "]" : "";
  out["conditions"] =
      Json::array({condition(pod, "PodScheduled", true, "", "", now_ms),
                   condition(pod, "Initialized", is_initialized,
                             is_initialized ? "" : "ContainersNotInitialized", "", now_ms),
                   condition(pod, "ContainersReady", is_ready, why, what, now_ms),
                   condition(pod, "Ready", is_ready, why, what, now_ms)});
  const auto is_lost = [](const ContainerView& c) { return c.process.is_lost && is_done(c); };
  if (std::any_of(view.init.begin(), view.init.end(), is_lost) ||
      std::any_of(view.containers.begin(), view.containers.end(), is_lost))
    out["conditions"].push_back(condition(pod, "DisruptionTarget", true, "TerminationByKubelet",
                                          "this machine stopped while the pod ran", now_ms));
  return out;
}

Json unschedulable_status(const Json& pod, const std::string& message, std::int64_t now_ms) {
  return {{"phase", "Pending"},
          {"conditions",
           Json::array({condition(pod, "PodScheduled", false, "Unschedulable", message, now_ms)})}};
}
}  // namespace kairo::cluster
