// agents/watcher/adapter_words.cpp - a tuning's record and the node agent's word, in a sentence.
#include "agents/watcher/adapter_words.h"

#include "agents/runtime/decision.h"
#include "agents/runtime/tuned.h"

namespace kairo::watcher {
namespace {
using runtime::Tuned;
using runtime::Tuning;

// "Training 12/36", as that Workspace's own status has it.
std::string progress_of(const wire::RecordT* tuning) {
  const wire::StatusT* status = tuning == nullptr ? nullptr : tuning->status.get();
  if (status == nullptr || !status->tuning) return "it has not begun";
  const wire::TuningStatusT& t = *status->tuning;
  if (t.phase == "Waiting" || t.phase == "Queued")
    for (const auto& condition : status->conditions)
      if (condition->value == "False" && !condition->message.empty())
        return t.phase + ": " + condition->message;
  if (t.total_steps == 0 || t.phase != "Training") return t.phase;
  return t.phase + " " + std::to_string(t.step) + "/" + std::to_string(t.total_steps);
}
// A watcher that has lost its store has told nothing yet: then what the object carries.
std::string failure_of(const wire::RecordT* tuning) {
  if (tuning == nullptr || !(tuning->status || tuning->status_seen)) return {};
  for (const auto& condition :
       tuning->status ? tuning->status->conditions : tuning->status_seen->conditions)
    if (condition->type == "WorkspaceSucceeded" && condition->value == "False")
      return ": " + condition->message;
  return {};
}
// Why the tuning gives no adapter now, and what to do; "" = it gives one.
std::string reason_of(const wire::RecordT& record, const std::string& name, const Tuned& tuned,
                      const wire::RecordT* tuning) {
  const std::string it = "tuning Workspace " + name;
  const std::string remove = "take the name out of " + std::string(runtime::adapters_from);
  switch (tuned.state) {
    case Tuning::ready:
      return {};
    case Tuning::coming:
      return "waits for the " + it + ": " + progress_of(tuning);
    case Tuning::failed:
      return it + " has failed" + failure_of(tuning);
    case Tuning::leaving:
      return it + " is being deleted";
    case Tuning::missing:
      return it + " not found: apply it, or " + remove;
    case Tuning::is_none:
      return "Workspace " + name + " tunes nothing: name a tuning Workspace, or " + remove;
    case Tuning::other_base:
      return "tuned on another base model: " + it + " on " + tuned.base + ", the server has " +
             record.workspace->inference->preset;
    case Tuning::elsewhere:
      return "the adapter of " + it + " lies on node " + tuned.node +
             " only: give the tuning an output.image, so that other nodes can fetch it";
    case Tuning::without_digest:
      return it + " was done by KAITO, whose image has no digest here: name " +
             (tuning != nullptr && tuning->workspace->tuning->output
                  ? tuning->workspace->tuning->output->image
                  : "its image") +
             " in inference.adapters";
    case Tuning::name_taken:
      return "the server has a model " + name +
             " already, its base or one of inference.adapters: name the tuning Workspace otherwise";
  }
  return {};
}

std::unique_ptr<wire::AdapterStatusT> told(const wire::RecordT& record, const std::string& name,
                                           const wire::RecordT* tuning) {
  auto out = std::make_unique<wire::AdapterStatusT>();
  out->name = name;
  const Tuned tuned = runtime::tuned_for(record, name, tuning);
  if (!runtime::can_load_adapters(record)) {
    out->state = "Refused";
    out->message =
        "the server is not kairo's own, which alone loads adapters while it runs: name the "
        "adapter's image in inference.adapters";
    return out;
  }
  const wire::ServingT* serving = runtime::of_node(record.servings, runtime::run_node_of(record));
  const wire::ServedAdapterT* served = nullptr;
  if (serving != nullptr && serving->revision == record.workspace->revision)
    for (const auto& adapter : serving->adapters)
      if (adapter->name == name) served = adapter.get();
  const bool answers = served != nullptr && !served->digest.empty();
  if (answers) {
    out->digest = served->digest;
    out->image = served->image;
    out->since_ms = served->since_ms;
  }
  out->message = reason_of(record, name, tuned, tuning);
  wire::WantedAdapterT wanted;
  const bool is_wanted = runtime::is_to_be_served(record, name, tuned, wanted);
  const bool is_done = answers && is_wanted && served->digest == wanted.digest;
  if (is_wanted && !is_done) {
    const bool is_told = served != nullptr && served->wanted == wanted.digest;
    const std::string trouble = is_told ? served->message : "";
    out->message += (out->message.empty() ? "" : "; ") +
                    (trouble.empty() ? "revision " + wanted.digest + " is being loaded" : trouble);
  }
  if (tuned.state == Tuning::name_taken)
    out->state = "Refused";
  else if (is_wanted)
    out->state = is_done ? "Serving" : answers ? "Replacing" : "Loading";
  else
    out->state = "Waiting";
  if (is_done && !out->message.empty()) out->message += "; the last revision goes on answering";
  return out;
}
}  // namespace

std::vector<std::unique_ptr<wire::AdapterStatusT>> adapters_told(const wire::RecordT& record,
                                                                 const runtime::Named& named) {
  std::vector<std::unique_ptr<wire::AdapterStatusT>> out;
  for (const std::string& name : runtime::named_tunings(*record.workspace))
    out.push_back(told(record, name, named ? named(name) : nullptr));
  return out;
}

Verdict adapters_ready(const std::vector<std::unique_ptr<wire::AdapterStatusT>>& adapters) {
  std::string reason, words;
  for (const auto& adapter : adapters) {
    if (adapter->message.empty()) continue;
    words += (words.empty() ? "" : "; ") + adapter->name + ": " + adapter->message;
    if (adapter->state != "Serving" && reason.empty()) reason = "Adapter" + adapter->state;
  }
  if (!reason.empty()) return {"False", reason, words};
  return {"True", "AdaptersServing", words.empty() ? "all adapters answer" : words};
}
}  // namespace kairo::watcher
