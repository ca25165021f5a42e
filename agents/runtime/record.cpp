// agents/runtime/record.cpp - one row per kind of fact.
#include "agents/runtime/record.h"

#include <algorithm>
#include <memory>
#include <tuple>

#include "agents/bus/bus.h"
#include "schemas/base/codec.h"

namespace kairo::runtime {
namespace {
auto key_of(const wire::PartT& part) {
  return std::tie(part.kind, part.name);
}
auto key_of(const wire::NodeClaimT& claim) {
  return std::tie(claim.kind, claim.name);
}
template <class T>
auto key_of(const T& word) {  // of a node
  return std::tie(word.node);
}
// As with_slot, for a kind of which a record keeps several.
template <class T, class Visit>
bool with_entry(std::vector<std::unique_ptr<T>>& entries, const T& body, Visit visit) {
  const auto at =
      std::lower_bound(entries.begin(), entries.end(), body,
                       [](const auto& entry, const T& b) { return key_of(*entry) < key_of(b); });
  const bool is_known = at != entries.end() && key_of(**at) == key_of(body);
  std::unique_ptr<T> none;
  const bool done = visit(body, is_known ? *at : none);
  if (none) entries.insert(at, std::move(none));
  return done;
}
// Calls visit(body, the record's slot for it) for the fact's kind; false for NONE and Node.
template <class Visit>
bool with_slot(wire::RecordT& record, const wire::FactT& fact, Visit visit) {
  const auto& body = fact.body;
  switch (body.type) {
    case wire::FactBody::NONE:
    case wire::FactBody::Node:
      return false;  // nodes are not of one Workspace
    case wire::FactBody::Workspace:
      return visit(*body.AsWorkspace(), record.workspace);
    case wire::FactBody::Job:
      return visit(*body.AsJob(), record.job);
    case wire::FactBody::Pod:
      return visit(*body.AsPod(), record.pod);
    case wire::FactBody::Server:
      return visit(*body.AsServer(), record.server);
    case wire::FactBody::Resources:
      return visit(*body.AsResources(), record.resources);
    case wire::FactBody::Run:
      return visit(*body.AsRun(), record.run);
    case wire::FactBody::RunDir:
      return with_entry(record.run_dirs, *body.AsRunDir(), visit);
    case wire::FactBody::Training:
      return with_entry(record.trainings, *body.AsTraining(), visit);
    case wire::FactBody::Artifact:
      return with_entry(record.artifacts, *body.AsArtifact(), visit);
    case wire::FactBody::Push:
      return with_entry(record.pushes, *body.AsPush(), visit);
    case wire::FactBody::Checkpoint:
      return with_entry(record.checkpoints, *body.AsCheckpoint(), visit);
    case wire::FactBody::Serving:
      return with_entry(record.servings, *body.AsServing(), visit);
    case wire::FactBody::Trouble:
      return visit(*body.AsTrouble(), record.trouble);
    case wire::FactBody::Part:
      return with_entry(record.parts, *body.AsPart(), visit);
    case wire::FactBody::StatusSeen:
      return visit(*body.AsStatusSeen(), record.status_seen);
    case wire::FactBody::NodeClaim:
      return with_entry(record.claims, *body.AsNodeClaim(), visit);
    case wire::FactBody::ClaimEnd:
      return visit(*body.AsClaimEnd(), record.claim_end);
  }
  return false;
}
// An older pod's end must not hide the pod that replaced it.
bool is_about_another(const wire::PodT& pod, const wire::PodT& known) {
  return !pod.exists && known.exists && pod.name != known.name;
}
template <class T>
bool is_about_another(const T&, const T&) {
  return false;
}
// Each claim has a name of its own: where none can be had, many come and go; for each node the last
// one is known.
void forget_oldest(std::vector<std::unique_ptr<wire::NodeClaimT>>& claims, std::size_t nodes) {
  const std::size_t gone_max = 8 * std::max<std::size_t>(nodes, 1);
  std::vector<std::uint64_t> gone;
  for (const auto& claim : claims)
    if (!claim->exists) gone.push_back(claim->version);
  if (gone.size() <= gone_max) return;
  const std::uint64_t oldest = *std::min_element(gone.begin(), gone.end());
  std::erase_if(claims,
                [&](const auto& claim) { return !claim->exists && claim->version == oldest; });
}
// An object that was gone, or leaving, is there again, the same one: the cluster's store was put
// back from a backup, and what was asked for since is nothing to go by.
bool comes_back(const wire::WorkspaceT& before, const wire::WorkspaceT& now) {
  return (now.exists && !before.exists) || (before.deleting && now.exists && !now.deleting);
}
template <class T>
bool comes_back(const T& before, const T& now) {
  if constexpr (std::is_same_v<T, wire::JobT> || std::is_same_v<T, wire::ServerT>)
    return now.exists && !before.exists && now.uid == before.uid;
  return false;
}
}  // namespace

bool is_of_an_agent(wire::FactBody type) {
  using B = wire::FactBody;
  return type == B::Resources || type == B::Run || type == B::RunDir || type == B::Training ||
         type == B::Artifact || type == B::Push || type == B::Checkpoint || type == B::Serving;
}

bool absorb(wire::RecordT& record, const wire::FactT& fact, bool is_last_word) {
  const bool is_workspace = fact.body.type == wire::FactBody::Workspace;
  bool is_back = false;
  if (!is_workspace && record.workspace && fact.ns != record.ns) return false;
  const bool changed = with_slot(record, fact, [&](const auto& body, auto& slot) {
    using T = std::decay_t<decltype(body)>;
    if (body.version == 0) return false;
    if (slot && slot->version == body.version) return false;
    if (slot && !is_last_word && (body.version < slot->version || is_about_another(body, *slot)))
      return false;
    is_back = slot && comes_back(*slot, body);
    slot = std::make_unique<T>(body);
    return true;
  });
  if (!changed) return false;
  forget_oldest(record.claims, record.workspace ? record.workspace->count : 1);
  record.uid = fact.uid;
  if (is_back) record.marks.clear();
  if (is_workspace || !record.workspace) {
    record.ns = fact.ns;
    record.name = fact.name;
  }
  return true;
}

bool is_outdated(wire::RecordT& record, const wire::FactT& fact) {
  return with_slot(record, fact, [](const auto& body, const auto& slot) {
    return slot && slot->version > body.version;
  });
}

std::uint64_t version_of(const wire::FactT& fact) {
  if (fact.body.type == wire::FactBody::Node) return fact.body.AsNode()->version;
  wire::RecordT scratch;
  std::uint64_t version = 0;
  with_slot(scratch, fact, [&](const auto& body, auto&) {
    version = body.version;
    return true;
  });
  return version;
}

std::string content_of(const wire::FactT& fact) {
  wire::FactT content;
  content.uid = fact.uid;
  content.ns = fact.ns;
  content.name = fact.name;
  const auto keep = [&](auto body) {
    body.version = 0;
    content.body.Set(std::move(body));
    return true;
  };
  wire::RecordT scratch;
  if (fact.body.type == wire::FactBody::Node)
    keep(*fact.body.AsNode());
  else
    with_slot(scratch, fact, [&](const auto& body, auto&) { return keep(body); });
  return encode(content, wire::FactIdentifier());
}

std::string node_of(const wire::FactT& fact) {
  if (const auto* dir = fact.body.AsRunDir()) return dir->node;
  if (const auto* training = fact.body.AsTraining()) return training->node;
  if (const auto* artifact = fact.body.AsArtifact()) return artifact->node;
  if (const auto* push = fact.body.AsPush()) return push->node;
  if (const auto* checkpoint = fact.body.AsCheckpoint()) return checkpoint->node;
  if (const auto* serving = fact.body.AsServing()) return serving->node;
  return {};
}

std::string kind_of(wire::FactBody type) {
  std::string text = wire::EnumNameFactBody(type);
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}
std::string kind_of(wire::CommandBody type) {
  return wire::EnumNameCommandBody(type);
}

namespace {
// What a fact is about, of several of its kind in one Workspace; "" = there is one. Two pods: the
// end of the older must not replace the news of the newer. Two that went in one list have one
// version: they are two messages all the same.
std::string part_of(const wire::FactT& fact) {
  if (const auto* pod = fact.body.AsPod()) return pod->name;
  if (const auto* part = fact.body.AsPart()) return part->kind + "-" + part->name;
  if (const auto* claim = fact.body.AsNodeClaim()) return claim->kind + "-" + claim->name;
  return node_of(fact);
}
}  // namespace

std::string subject_of(const wire::FactT& fact) {
  const std::string part = part_of(fact);
  return "kairo.facts." + kind_of(fact.body.type) + "." + bus::token(fact.ns) + "." +
         bus::token(fact.name) + "." + bus::token(fact.uid) +
         (part.empty() ? "" : "." + bus::token(part));
}
std::string message_id_of(const wire::FactT& fact) {
  const std::string part = part_of(fact);
  return kind_of(fact.body.type) + "/" + fact.uid + (part.empty() ? "" : "/" + part) + "/" +
         std::to_string(version_of(fact));
}

void set_mark(wire::RecordT& record, wire::MarkT mark) {
  auto at = std::lower_bound(record.marks.begin(), record.marks.end(), mark.key,
                             [](const auto& m, const std::string& key) { return m->key < key; });
  if (at == record.marks.end() || (*at)->key != mark.key)
    at = record.marks.insert(at, std::make_unique<wire::MarkT>());
  **at = std::move(mark);
}
}  // namespace kairo::runtime
