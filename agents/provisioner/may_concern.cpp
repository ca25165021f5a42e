// agents/provisioner/may_concern.cpp - whom a node's news does surely not concern, read off the
// record at rest: nothing is unpacked for those whose labels do not match.
#include <algorithm>

#include "agents/provisioner/decide.h"

namespace kairo::provisioner {
namespace {
bool is(const flatbuffers::String* text, const std::string& other) {
  return text == nullptr ? other.empty() : text->string_view() == other;
}
bool are_equal(const flatbuffers::String* a, const flatbuffers::String* b) {
  if (a == nullptr || b == nullptr)
    return (a == nullptr || a->size() == 0) == (b == nullptr || b->size() == 0);
  return a->string_view() == b->string_view();
}
bool carries(const wire::NodeT& node, const wire::Label& asked) {
  return std::any_of(node.labels.begin(), node.labels.end(), [&](const auto& label) {
    return is(asked.key(), label->key) && is(asked.value(), label->value);
  });
}
bool may_count(const wire::NodeT& node, const wire::Workspace& w) {
  if (!node.exists) return false;
  if (node.local || w.match_labels() == nullptr) return true;
  return std::all_of(w.match_labels()->begin(), w.match_labels()->end(),
                     [&](const wire::Label* label) { return carries(node, *label); });
}
bool names(const wire::Resources& said, const std::string& node) {
  return said.nodes() != nullptr &&
         std::any_of(said.nodes()->begin(), said.nodes()->end(),
                     [&](const flatbuffers::String* name) { return is(name, node); });
}
bool may_be_given(const wire::NodeT& node, const wire::Record& record) {
  return std::any_of(node.labels.begin(), node.labels.end(), [&](const auto& label) {
    return label->key == "kaito.sh/workspace" && is(record.name(), label->value);
  });
}
}  // namespace

bool may_concern(const wire::Record& record, const std::string& name, const wire::NodeT* before,
                 const wire::NodeT& after, const Terms& terms) {
  const wire::Workspace* w = record.workspace();
  if (w == nullptr || !w->exists() || w->deleting()) return false;
  const wire::Resources* said = record.resources();
  const bool is_granted = said != nullptr && said->state() == wire::ResourcesState::Ready &&
                          are_equal(said->revision(), w->revision());
  if (is_granted && names(*said, name)) return true;
  if (terms.mode == Mode::own)
    return !is_granted && (may_count(after, *w) || (before != nullptr && may_count(*before, *w)));
  const auto* claims = record.claims();
  const bool is_claimed = claims != nullptr && std::any_of(claims->begin(), claims->end(),
                                                           [&](const wire::NodeClaim* claim) {
                                                             return is(claim->node(), name);
                                                           });
  return is_claimed || may_be_given(after, record) ||
         (before != nullptr && may_be_given(*before, record));
}
}  // namespace kairo::provisioner
