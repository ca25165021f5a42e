// agents/runtime/loop_names.cpp - decisions that look at other Workspaces, by their names.
#include <string_view>

#include "agents/runtime/loop.h"
#include "agents/runtime/loop_round.h"

namespace kairo::runtime {
namespace {
std::string_view view_of(const flatbuffers::String* text) {
  return text == nullptr ? std::string_view() : std::string_view(text->c_str(), text->size());
}
}  // namespace

// Who once named another stays noted until this process ends: to decide once more changes nothing.
void Loop::note_names(const wire::RecordT& record) {
  if (!deps_.role.names || !record.workspace || !record.workspace->exists) return;
  for (const std::string& name : deps_.role.names(*record.workspace))
    namers_[record.ns + "/" + name].insert(record.uid);
}

void Loop::wake_namers(Round& round, const wire::RecordT& record) const {
  if (namers_.empty()) return;
  const auto found = namers_.find(record.ns + "/" + record.name);
  if (found == namers_.end()) return;
  for (const std::string& uid : found->second)
    if (records_.at_rest(uid) != nullptr || round.edits.contains(uid)) round.dirty.insert(uid);
}

// Of namesakes the one that is there; of those that are (one is about to be heard gone) the newest.
const wire::RecordT* Loop::named(const Round& round, const std::string& ns,
                                 const std::string& name) const {
  std::string uid;
  std::uint64_t newest = 0;
  const auto see = [&](const std::string& of, std::uint64_t version) {
    if (version <= newest) return;
    newest = version;
    uid = of;
  };
  for (const auto& [of, record] : round.edits)
    if (record.ns == ns && record.name == name && record.workspace && record.workspace->exists)
      see(of, record.workspace->version);
  for (const auto& [of, known] : records_) {  // few look at others: a scan will do
    const wire::Record& record = known.table();
    if (view_of(record.name()) != name || view_of(record.ns()) != ns || round.edits.contains(of))
      continue;
    if (record.workspace() != nullptr && record.workspace()->exists())
      see(of, record.workspace()->version());
  }
  return uid.empty() ? nullptr : &peek(round, uid);
}
}  // namespace kairo::runtime
