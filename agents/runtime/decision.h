// agents/runtime/decision.h - words for decisions: small pure functions that every agent uses.
#pragma once
#include <memory>
#include <string>
#include <utility>

#include "agents/runtime/agent.h"

namespace kairo::runtime {
// Publishes `body` (wire::ResourcesT, ...) as a fact about the record's Workspace. The runtime
// gives the version, and stays silent when the last such fact said the same.
template <class Body>
void publish(Decision& decision, const wire::RecordT& record, Body body) {
  auto fact = std::make_unique<wire::FactT>();
  fact->uid = record.uid;
  fact->ns = record.ns;
  fact->name = record.name;
  fact->body.Set(std::move(body));
  wire::PublishT publish;
  publish.fact = std::move(fact);
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
};
// Asks for an effect: once per wish `value`, and again for each newer fact that does not show it.
// true: it was asked for now.
template <class Body>
bool ask(Decision& decision, const wire::RecordT& record, const std::string& key,
         const std::string& value, const std::string& revision, Body body, Seen seen = {}) {
  const wire::MarkT& asked = mark_of(record, key);
  if (asked.value == value && seen.version <= asked.seen) return false;
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
// A failed effect that still stands: for this revision, of this command.
inline const wire::TroubleT* trouble_of(const wire::RecordT& record, const std::string& command) {
  const wire::TroubleT* trouble = record.trouble.get();
  if (trouble == nullptr || trouble->command != command || trouble->what.empty()) return nullptr;
  if (!record.workspace || trouble->revision != record.workspace->revision) return nullptr;
  return trouble;
}
}  // namespace kairo::runtime
