// agents/watcher/patience.cpp - from the least that may differ to the most.
#include "agents/watcher/patience.h"

#include <algorithm>
#include <string>

#include "agents/runtime/tuned.h"

namespace kairo::watcher {
namespace {
bool is_about_nodes(const std::string& type) {
  return type == "ResourceReady" || type == "NodeClaimReady" || type == "NodesReady";
}
// What an adapter waits for: the steps of a training.
void omit_waits(wire::StatusT& status) {
  for (auto& adapter : status.adapters) adapter->message.clear();
  for (auto& condition : status.conditions)
    if (condition->type == "AdaptersReady") condition->message.clear();
}
void omit_numbers(wire::StatusT& status) {
  omit_waits(status);
  if (!status.tuning) return;
  const std::string phase = status.tuning->phase;
  *status.tuning = {};
  status.tuning->phase = phase;
}
void omit_phase(wire::StatusT& status) {
  if (status.tuning) *status.tuning = {};
}
void omit_messages_of_nodes(wire::StatusT& status) {
  for (auto& condition : status.conditions)
    if (is_about_nodes(condition->type)) condition->message.clear();
}
void omit_words(wire::StatusT& status) {
  for (auto& condition : status.conditions) condition->reason = condition->message = "";
}
// What a step on the way changes while the state stays. A condition that comes is one too.
void omit_steps(wire::StatusT& status) {
  std::erase_if(status.conditions, [](const auto& c) { return is_about_nodes(c->type); });
  status.nodes.clear();
}
bool is_machine_coming(const wire::StatusT& status) {
  return std::any_of(status.conditions.begin(), status.conditions.end(), [](const auto& c) {
    return c->type == "NodeClaimReady" && c->value == "False";
  });
}
// Of a tuning whose next step is our own, and short: whatever it waits for would be its reason. Its
// pod may be there before the claim of the runs' volume, which the launcher makes behind the Job.
bool has_job_on_its_way(const wire::StatusT& status) {
  return status.tuning &&
         std::any_of(status.conditions.begin(), status.conditions.end(), [&](const auto& c) {
           return c->type == "JobStarted" && c->reason == "WorkspaceTuningJobStatusPending" &&
                  (status.tuning->phase == "Preparing" ||
                   c->message.find("kairo-runs-") != std::string::npos);
         });
}
}  // namespace

Patience patience(const wire::StatusT& told, const wire::StatusT& now) {
  constexpr std::int64_t step_ms = 1'000, words_ms = 2'000, ours_ms = 5'000;
  constexpr std::int64_t most_ms = 10'000, machine_ms = 30'000;
  wire::StatusT a(told), b(now);
  const auto is_same_without = [&](auto omit) {
    omit(a);
    omit(b);
    return a == b;
  };
  if (is_same_without(omit_numbers)) {
    if (now.tuning) return {0, std::clamp(now.tuning->eta_seconds * 10, step_ms, most_ms)};
    if (now.adapters.empty()) return {};
    return {words_ms, ours_ms};
  }
  const std::int64_t settle_ms = has_job_on_its_way(now) ? ours_ms : step_ms;
  if (is_same_without(omit_phase)) return {settle_ms, 0};
  if (is_same_without(omit_messages_of_nodes))
    return {step_ms, is_machine_coming(now) ? machine_ms : most_ms};
  if (is_same_without(omit_words)) return {words_ms, 0};
  if (is_same_without(omit_steps)) return {settle_ms, 0};
  return {};
}

Patience first_patience(const wire::RecordT& record) {
  constexpr std::int64_t others_ms = 300, provisioner_ms = 1'500, words_ms = 2'000;
  const wire::ResourcesT* said = record.resources.get();
  const bool is_refused = said != nullptr && said->state != wire::ResourcesState::Ready &&
                          !(said->state == wire::ResourcesState::Waiting && said->buys);
  const bool is_known = record.status_seen && !record.status_seen->conditions.empty();
  if (is_known && !runtime::named_tunings(*record.workspace).empty()) return {words_ms, 0};
  if (is_refused || is_known || record.trouble || record.workspace->deleting ||
      !record.workspace->problem.empty())
    return {};
  return {said == nullptr ? provisioner_ms : others_ms, 0};
}
}  // namespace kairo::watcher
