// agents/runtime/decision.h - words for decisions: small pure functions that every agent uses.
#pragma once
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agents/runtime/agent.h"

namespace kairo::runtime {
// Publishes `body` (wire::ResourcesT, ...) as a fact about the record's Workspace. The runtime
// gives the version, and stays silent when the last such fact said the same.
template <class Body>
void publish(Decision& decision, const wire::RecordT& record, Body body) {
  wire::PublishT publish;
  publish.fact = std::make_unique<wire::FactT>(fact_about(record, std::move(body)));
  wire::CommandT command;
  command.body.Set(std::move(publish));
  decision.commands.push_back(std::move(command));
}
inline const wire::MarkT& mark_of(const wire::RecordT& record, const std::string& key) {
  static const wire::MarkT none;
  for (const auto& mark : record.marks)
    if (mark->key == key) return *mark;
  return none;
}
// What a decision looked at when it found that a wish is not fulfilled.
struct Seen {
  std::uint64_t version = 0;     // of the fact; 0 = nothing is there to see
  std::uint64_t generation = 0;  // of the object, where that counts
  std::int64_t now_ms = 0;       // not 0: asked again when for a while nothing is seen at all
};
// Made and taken away again while nobody looked, an object is never seen.
constexpr std::int64_t unseen_ms_max = 30'000;
// Asks for an effect: once per wish `value`, and again for each newer fact that does not show it.
// true: it was asked for now.
template <class Body>
bool ask(Decision& decision, const wire::RecordT& record, const std::string& key,
         const std::string& value, const std::string& revision, Body body, Seen seen = {}) {
  const wire::MarkT& asked = mark_of(record, key);
  const bool is_overdue =
      seen.now_ms != 0 &&
      (seen.now_ms < asked.at_ms || seen.now_ms - asked.at_ms > unseen_ms_max);  // or set back
  if (asked.value == value && seen.version <= asked.seen && !is_overdue) return false;
  wire::CommandT command;
  command.revision = revision;
  command.coalesce = key;
  command.body.Set(std::move(body));
  decision.commands.push_back(std::move(command));
  wire::MarkT mark;
  mark.key = key;
  mark.value = value;
  mark.seen = seen.version;
  mark.generation = seen.generation;
  mark.at_ms = seen.now_ms;
  decision.marks.push_back(std::move(mark));
  return true;
}
template <class T>
std::unique_ptr<T> copy(const T& value) {
  return std::make_unique<T>(value);
}
inline bool is_live(const wire::RecordT& record) {
  return record.workspace && record.workspace->exists && !record.workspace->deleting;
}
inline bool is_leaving(const wire::RecordT& record) {
  return record.workspace && record.workspace->exists && record.workspace->deleting;
}
// A node's word, of those that a record keeps (run_dirs, trainings, artifacts, pushes,
// checkpoints).
template <class T>
const T* of_node(const std::vector<std::unique_ptr<T>>& words, const std::string& node) {
  for (const auto& word : words)
    if (word->node == node) return word.get();
  return nullptr;
}
// Of a workload on several nodes the places are one text: as what it was made for.
inline std::string joined(const std::vector<std::string>& places) {
  std::string out;
  for (const std::string& place : places) out += (out.empty() ? "" : ",") + place;
  return out;
}
inline std::string node_of_place(const std::string& place) {
  return place.substr(0, place.find('/'));
}
inline bool is_on(const wire::RunT& run, const std::string& node) {
  return run.node == node || std::any_of(run.peers.begin(), run.peers.end(), [&](const auto& peer) {
           return node_of_place(peer) == node;
         });
}
// The run's nodes; one, but of a model on several.
inline std::vector<std::string> nodes_of(const wire::RunT& run) {
  std::vector<std::string> out{run.node};
  for (const std::string& peer : run.peers) out.push_back(node_of_place(peer));
  return out;
}
// The run's place on one of its nodes.
inline std::string place_on(const wire::RunT& run, const std::string& node) {
  for (const std::string& peer : run.peers)
    if (node_of_place(peer) == node) return peer;
  return run.place;
}
// The words that count: of the node on which the run is wished for.
inline std::string run_node_of(const wire::RecordT& record) {
  if (record.run) return record.run->node;
  return record.resources && !record.resources->nodes.empty() ? record.resources->nodes.front()
                                                              : "";
}
inline const wire::RunDirT* run_dir_of(const wire::RecordT& record) {
  return of_node(record.run_dirs, run_node_of(record));
}
inline const wire::TrainingT* training_of(const wire::RecordT& record) {
  return of_node(record.trainings, run_node_of(record));
}
// The push of the revision that is wished for: one that is over, else the one under way.
inline const wire::PushT* push_of(const wire::RecordT& record) {
  const wire::PushT* out = nullptr;
  for (const auto& push : record.pushes) {
    if (push->revision != record.workspace->revision) continue;
    const bool is_better =
        push->state == wire::PushState::Pushed || (record.run && push->node == record.run->node);
    if (out == nullptr || (out->state != wire::PushState::Pushed && is_better)) out = push.get();
  }
  return out;
}
inline bool is_pushed(const wire::RecordT& record) {
  const wire::PushT* push = push_of(record);
  return push != nullptr && push->state == wire::PushState::Pushed;
}
// The checkpoint of this revision that is in the registry; of several words that of the latest
// step.
inline const wire::CheckpointT* checkpoint_of(const wire::RecordT& record,
                                              const std::string& revision) {
  const wire::CheckpointT* out = nullptr;
  for (const auto& one : record.checkpoints)
    if (one->revision == revision && one->step > (out == nullptr ? 0 : out->step)) out = one.get();
  return out;
}
constexpr const char* paused = "kairo.dev/paused";                      // annotation: true
constexpr const char* keep_checkpoints = "kairo.dev/keep-checkpoints";  // annotation: true, false
inline std::string annotation_of(const wire::WorkspaceT& w, const std::string& key) {
  for (const auto& annotation : w.annotations)
    if (annotation->key == key) return annotation->value;
  return {};
}
// The user holds its training back. In a queue that is Kueue's to say.
inline bool is_paused(const wire::WorkspaceT& w) {
  return w.tuning && w.queue.empty() && annotation_of(w, paused) == "true";
}
// KAITO made it (no revision of ours stands on it), for what the Workspace wishes now.
template <class Workload>
bool is_kaitos(const wire::RecordT& record, const Workload& seen) {
  if (!seen || !seen->revision.empty() || seen->kaito_revision.empty()) return false;
  const wire::WorkspaceT& w = *record.workspace;
  return annotation_of(w, "workspace.kaito.io/hash") == w.revision &&
         annotation_of(w, "workspace.kaito.io/revision") == seen->kaito_revision;
}
// KAITO's Job ends when its adapter is where it was wanted.
inline bool has_kaito_done(const wire::RecordT& record) {
  return is_kaitos(record, record.job) && record.job->finished && record.job->succeeded > 0;
}
// Its adapter, in a place that is granted. What lay on a node that is gone is gone.
inline const wire::ArtifactT* artifact_of(const wire::RecordT& record) {
  if (!record.resources) return nullptr;
  const auto& places = record.resources->places;
  for (const auto& artifact : record.artifacts)
    if (artifact->revision == record.workspace->revision &&
        std::find(places.begin(), places.end(), artifact->place) != places.end())
      return artifact.get();
  return nullptr;
}
// Nothing is left to train: for better or worse there is an end.
inline bool is_trained(const wire::RecordT& record) {
  return is_pushed(record) || artifact_of(record) != nullptr || has_kaito_done(record);
}
// A tuning that is over: all is where it was wanted, or there is no adapter to be had.
inline bool is_done(const wire::RecordT& record) {
  if (!record.workspace->tuning) return false;
  if (has_kaito_done(record)) return true;
  const auto& output = record.workspace->tuning->output;
  const bool is_enough = !output || output->image.empty();
  const wire::ArtifactT* artifact = artifact_of(record);
  return is_pushed(record) || (artifact != nullptr && (is_enough || !artifact->problem.empty()));
}
// A failed effect that still stands: for this revision, of this command.
inline const wire::TroubleT* trouble_of(const wire::RecordT& record, const std::string& command) {
  const wire::TroubleT* trouble = record.trouble.get();
  if (trouble == nullptr || trouble->command != command || trouble->what.empty()) return nullptr;
  if (!record.workspace || trouble->revision != record.workspace->revision) return nullptr;
  return trouble;
}
}  // namespace kairo::runtime
