// agents/launcher/wish.h - the workload that a Workspace wishes for: a revision, in a place. Pure.
#pragma once
#include <string>
#include <vector>

#include "agents/runtime/decision.h"

namespace kairo::launcher {
// The node that was granted for this revision; "" = none.
inline std::string node_of(const wire::RecordT& record) {
  const wire::ResourcesT* r = record.resources.get();
  const bool is_granted = r != nullptr && r->state == wire::ResourcesState::Ready &&
                          r->revision == record.workspace->revision;
  return is_granted && !r->nodes.empty() ? r->nodes.front() : "";
}
// The places of the nodes, in their order.
inline std::vector<std::string> places_of(const wire::RecordT& record) {
  const bool is_named = !node_of(record).empty() && !record.resources->places.empty();
  return is_named ? record.resources->places : std::vector<std::string>{node_of(record)};
}
inline std::string place_of(const wire::RecordT& record) {
  return runtime::joined(places_of(record));
}
// The workload as it is wished for: a revision, in a place.
inline std::string wish_of(const wire::RecordT& record) {
  return record.workspace->revision + "/" + place_of(record);
}
template <class Workload>
bool exists(const Workload& seen) {
  return seen && seen->exists;
}
// Of this revision and for this node, whether it is there or gone.
template <class Workload>
bool is_of_wish(const wire::RecordT& record, const Workload& seen) {
  return seen && seen->revision == record.workspace->revision &&
         (seen->place.empty() || seen->place == place_of(record));
}
}  // namespace kairo::launcher
