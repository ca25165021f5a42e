// agents/local/node/job.cpp - counting pods, retrying, giving up.
#include "agents/local/node/job.h"

#include <algorithm>
#include <optional>

#include "schemas/base/clock.h"
#include "schemas/base/digest.h"

namespace kairo::cluster {
namespace {
constexpr std::int64_t backoff_ms_max = 360'000;
constexpr std::size_t ignored_kept = 3;  // pods that ended without counting: the last ones stay

Json pod_of(const Json& owner, const char* api, const char* kind, const std::string& name) {
  const Json& model = at(owner, {"spec", "template"});
  Json meta = at(model, {"metadata"}).is_object() ? model["metadata"] : Json::object();
  for (const char* map : {"labels", "annotations"})
    if (!meta.contains(map)) meta[map] = Json::object();
  meta["name"] = name;
  meta["namespace"] = text(owner, {"metadata", "namespace"});
  meta["ownerReferences"] = Json::array({{{"apiVersion", api},
                                          {"kind", kind},
                                          {"name", text(owner, {"metadata", "name"})},
                                          {"uid", text(owner, {"metadata", "uid"})},
                                          {"controller", true},
                                          {"blockOwnerDeletion", true}}});
  return {{"apiVersion", "v1"},
          {"kind", "Pod"},
          {"metadata", std::move(meta)},
          {"spec", at(model, {"spec"})}};
}
std::string phase_of(const Json& pod) {
  return text(pod, {"status", "phase"});
}
std::int64_t ended_at(const Json& pod) {  // Unix ms; 0: unknown
  std::int64_t out = 0;
  for (const char* list : {"initContainerStatuses", "containerStatuses"})
    for (const Json& c : at(pod, {"status", list}))
      out = std::max(out, parse_rfc3339(text(c, {"state", "terminated", "finishedAt"})));
  return out;
}
Json condition(const std::string& type, const std::string& reason, const std::string& message,
               std::int64_t now_ms) {
  return {{"type", type},
          {"status", "True"},
          {"reason", reason},
          {"message", message},
          {"lastProbeTime", rfc3339(now_ms)},
          {"lastTransitionTime", rfc3339(now_ms)}};
}

struct Verdict {
  std::string action;   // "", "FailJob", "Ignore", "Count"
  std::string message;  // of FailJob
};
bool is_rule_for(const Json& rule, const Json& container, std::int64_t code) {
  const Json& test = at(rule, {"onExitCodes"});
  const std::string only = text(test, {"containerName"});
  if (!only.empty() && only != text(container, {"name"})) return false;
  const Json& values = at(test, {"values"});
  const bool is_in = std::find(values.begin(), values.end(), code) != values.end();
  const std::string op = text(test, {"operator"});
  return op == "In" ? is_in : op == "NotIn" && !is_in;
}
bool is_rule_for(const Json& rule, const Json& pod) {  // by its conditions
  for (const Json& wanted : at(rule, {"onPodConditions"}))
    for (const Json& c : at(pod, {"status", "conditions"}))
      if (text(c, {"type"}) == text(wanted, {"type"}) &&
          text(c, {"status"}) == text(wanted, {"status"}))
        return true;
  return false;
}
// The first rule of podFailurePolicy that the failed pod meets.
Verdict judge(const Json& job, const Json& pod) {
  const Json& rules = at(job, {"spec", "podFailurePolicy", "rules"});
  const std::string what =
      " for pod " + text(pod, {"metadata", "namespace"}) + "/" + text(pod, {"metadata", "name"});
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const std::string action = text(rules[i], {"action"});
    const std::string rule = " matching " + action + " rule at index " + std::to_string(i);
    if (is_rule_for(rules[i], pod)) return {action, "A condition" + what + rule};
    for (const char* list : {"initContainerStatuses", "containerStatuses"})
      for (const Json& c : at(pod, {"status", list})) {
        const std::int64_t code = integer(c, {"state", "terminated", "exitCode"});
        if (code != 0 && is_rule_for(rules[i], c, code))
          return {action, "Container " + text(c, {"name"}) + what + " failed with exit code " +
                              std::to_string(code) + rule};
      }
  }
  return {"Count", ""};
}

struct Count {
  std::int64_t active = 0, ready = 0, succeeded = 0, failed = 0, last_end_ms = 0;
  std::vector<const Json*> ignored;
  std::string fail_message;  // a FailJob rule was met
};
Count count_pods(const Json& job, const std::vector<Json>& pods) {
  Count out;
  for (const Json& pod : pods) {
    const std::string phase = phase_of(pod);
    if (phase == "Succeeded") {
      ++out.succeeded;
    } else if (phase == "Failed") {
      const Verdict verdict = judge(job, pod);
      if (verdict.action == "Ignore") {
        out.ignored.push_back(&pod);
        continue;
      }
      if (verdict.action == "FailJob") out.fail_message = verdict.message;
      ++out.failed;
      out.last_end_ms = std::max(out.last_end_ms, ended_at(pod));
    } else {
      ++out.active;
      out.ready += is_pod_ready(pod) ? 1 : 0;
    }
  }
  std::sort(out.ignored.begin(), out.ignored.end(),
            [](const Json* a, const Json* b) { return ended_at(*a) < ended_at(*b); });
  return out;
}

std::optional<Json> verdict_of(const Json& job, const Count& n, std::int64_t now_ms) {
  const std::int64_t limit = integer(job, {"spec", "backoffLimit"}, 6);
  const std::int64_t deadline_s = integer(job, {"spec", "activeDeadlineSeconds"}, 0);
  const std::int64_t started = parse_rfc3339(text(job, {"status", "startTime"}));
  if (n.succeeded > 0)
    return condition("Complete", "CompletionsReached", "Reached expected number of succeeded pods",
                     now_ms);
  if (!n.fail_message.empty())
    return condition("Failed", "PodFailurePolicy", n.fail_message, now_ms);
  if (n.failed > limit)
    return condition("Failed", "BackoffLimitExceeded",
                     "Job has reached the specified backoff limit", now_ms);
  if (deadline_s > 0 && started > 0 && now_ms >= started + deadline_s * 1000)
    return condition("Failed", "DeadlineExceeded", "Job was active longer than specified deadline",
                     now_ms);
  return std::nullopt;
}
bool is_finished(const Json& job) {
  for (const Json& c : at(job, {"status", "conditions"}))
    if (text(c, {"status"}) == "True" &&
        (text(c, {"type"}) == "Complete" || text(c, {"type"}) == "Failed"))
      return true;
  return false;
}
std::string next_name(const Json& job, const std::vector<Json>& pods) {
  const std::string head = text(job, {"metadata", "name"}).substr(0, 240) + "-";
  for (int i = 0;; ++i) {
    const std::string name =
        head + short_name(text(job, {"metadata", "uid"}) + "/" + std::to_string(i), 5);
    const bool is_taken = std::any_of(pods.begin(), pods.end(), [&](const Json& pod) {
      return text(pod, {"metadata", "name"}) == name;
    });
    if (!is_taken) return name;
  }
}
}  // namespace

bool is_pod_ready(const Json& pod) {
  for (const Json& c : at(pod, {"status", "conditions"}))
    if (text(c, {"type"}) == "Ready") return text(c, {"status"}) == "True";
  return false;
}

WorkloadStep decide_job(const Json& job, const std::vector<Json>& pods, std::int64_t backoff_ms,
                        std::int64_t now_ms) {
  WorkloadStep out;
  if (is_finished(job)) return out;
  Count n = count_pods(job, pods);
  // A failed pod that somebody removed has still failed.
  n.failed = std::max(n.failed, integer(job, {"status", "failed"}));
  Json status = at(job, {"status"}).is_object() ? job["status"] : Json::object();
  if (!status.contains("startTime")) status["startTime"] = rfc3339(now_ms);
  const auto verdict = verdict_of(job, n, now_ms);
  if (verdict) {
    status["conditions"] = Json::array({*verdict});
    if ((*verdict)["type"] == "Complete") status["completionTime"] = rfc3339(now_ms);
    for (const Json& pod : pods)
      if (phase_of(pod) != "Succeeded" && phase_of(pod) != "Failed")
        out.remove.push_back(text(pod, {"metadata", "name"}));
  } else if (flag(job, {"spec", "suspend"})) {
    for (const Json& pod : pods)
      if (phase_of(pod) != "Succeeded" && phase_of(pod) != "Failed" &&
          text(pod, {"metadata", "deletionTimestamp"}).empty())
        out.remove.push_back(text(pod, {"metadata", "name"}));
  } else if (n.active == 0 && text(job, {"metadata", "deletionTimestamp"}).empty()) {
    const std::int64_t doublings = std::clamp<std::int64_t>(n.failed - 1, 0, 16);
    std::int64_t due =
        n.failed == 0 ? 0 : n.last_end_ms + std::min(backoff_ms << doublings, backoff_ms_max);
    // Ends that do not count are repeated at once, but not for ever.
    if (n.ignored.size() >= ignored_kept)
      due = std::max(due, ended_at(*n.ignored.back()) + backoff_ms);
    if (due > now_ms) {
      out.look_again_ms = due;
    } else {
      out.create.push_back(pod_of(job, "batch/v1", "Job", next_name(job, pods)));
      Json& labels = out.create.back()["metadata"]["labels"];
      labels["batch.kubernetes.io/job-name"] = text(job, {"metadata", "name"});
      labels["batch.kubernetes.io/controller-uid"] = text(job, {"metadata", "uid"});
      n.active = 1;
    }
  }
  for (std::size_t i = 0; i + ignored_kept < n.ignored.size(); ++i)
    out.remove.push_back(text(*n.ignored[i], {"metadata", "name"}));
  const std::int64_t deadline_s = integer(job, {"spec", "activeDeadlineSeconds"}, 0);
  if (!verdict && deadline_s > 0 && out.look_again_ms == 0)
    out.look_again_ms = parse_rfc3339(text(status, {"startTime"})) + deadline_s * 1000;
  const bool is_held = flag(job, {"spec", "suspend"});  // its pods are going
  status["active"] = verdict || is_held ? 0 : n.active;
  status["ready"] = verdict || is_held ? 0 : n.ready;
  status["succeeded"] = n.succeeded;
  status["failed"] = n.failed;
  out.status = std::move(status);
  return out;
}

WorkloadStep decide_stateful_set(const Json& set, const std::vector<Json>& pods) {
  WorkloadStep out;
  const std::int64_t replicas = integer(set, {"spec", "replicas"}, 1);
  const std::string name = text(set, {"metadata", "name"});
  const std::string revision = name + "-" + short_name(at(set, {"spec", "template"}).dump(), 10);
  const bool is_deleting = !text(set, {"metadata", "deletionTimestamp"}).empty();
  std::int64_t ready = 0, current = 0, there = 0;
  for (const Json& pod : pods) {
    const std::string pod_name = text(pod, {"metadata", "name"}), phase = phase_of(pod);
    const bool is_new = text(pod, {"metadata", "labels", "controller-revision-hash"}) == revision;
    const std::int64_t ordinal = std::atoll(pod_name.substr(pod_name.rfind('-') + 1).c_str());
    const bool is_over = phase == "Succeeded" || phase == "Failed";
    if (!is_new || is_over || ordinal >= replicas) out.remove.push_back(pod_name);
    ++there;
    current += is_new ? 1 : 0;
    ready += is_pod_ready(pod) ? 1 : 0;
  }
  for (std::int64_t i = 0; i < replicas && !is_deleting; ++i) {
    const std::string pod_name = name + "-" + std::to_string(i);
    const bool is_there = std::any_of(pods.begin(), pods.end(), [&](const Json& pod) {
      return text(pod, {"metadata", "name"}) == pod_name;
    });
    if (is_there) continue;
    Json pod = pod_of(set, "apps/v1", "StatefulSet", pod_name);
    Json& labels = pod["metadata"]["labels"];
    labels["controller-revision-hash"] = revision;
    labels["statefulset.kubernetes.io/pod-name"] = pod_name;
    labels["apps.kubernetes.io/pod-index"] = std::to_string(i);
    pod["spec"]["restartPolicy"] = "Always";
    out.create.push_back(std::move(pod));
  }
  out.status = {{"observedGeneration", integer(set, {"metadata", "generation"}, 1)},
                {"replicas", there},
                {"readyReplicas", ready},
                {"availableReplicas", ready},
                {"currentReplicas", current},
                {"updatedReplicas", current},
                {"currentRevision", revision},
                {"updateRevision", revision}};
  return out;
}
}  // namespace kairo::cluster
