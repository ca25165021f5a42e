// agents/provisioner/decide.cpp - what is granted stands; everything else is assessed anew.
#include "agents/provisioner/decide.h"

#include <algorithm>

#include "agents/provisioner/assess.h"
#include "agents/runtime/decision.h"

namespace kairo::provisioner {
namespace {
using wire::ResourcesState;

// Nothing is granted before our finalizer is on: what is started must be cleaned up.
bool asks_for_nodes(const wire::RecordT& record) {
  return runtime::is_live(record) && record.workspace->finalized;
}
// The nodes that this revision was given; null = it was given none.
const wire::ResourcesT* granted_to(const wire::RecordT& record) {
  const wire::ResourcesT* said = record.resources.get();
  if (said == nullptr || said->state != ResourcesState::Ready ||
      said->revision != record.workspace->revision)
    return nullptr;
  return said;
}
// A grant stands while its nodes are there, the same ones: one that is late, or that holds other
// models by now, ends nothing that runs there. What is done needs them no more.
bool stands(const wire::RecordT& record, const wire::ResourcesT& granted,
            const runtime::Nodes& nodes) {
  if (runtime::is_done(record)) return true;
  const auto is_there = [&](const std::string& place) {
    const std::size_t slash = place.find('/');
    const auto node = nodes.find(place.substr(0, slash));
    return node != nodes.end() && node->second.exists &&
           place.substr(slash + 1) == node->second.uid;
  };
  return !granted.places.empty() &&
         std::all_of(granted.places.begin(), granted.places.end(), is_there);
}
}  // namespace

runtime::Decision decide(const wire::RecordT& record, const runtime::View& view) {
  runtime::Decision d;
  if (runtime::is_leaving(record)) {
    runtime::publish(d, record, word(*record.workspace, ResourcesState::Released, "", ""));
    return d;
  }
  if (!asks_for_nodes(record)) return d;
  const auto* granted = granted_to(record);
  if (granted != nullptr && stands(record, *granted, view.nodes)) return d;
  runtime::publish(d, record, assess(*record.workspace, view.nodes));
  return d;
}

bool concerns(const wire::RecordT& record, const std::string& name, const wire::NodeT* before,
              const wire::NodeT& after) {
  if (!asks_for_nodes(record)) return false;
  if (const auto* granted = granted_to(record))
    return (!after.exists || (before != nullptr && before->uid != after.uid)) &&
           std::find(granted->nodes.begin(), granted->nodes.end(), name) != granted->nodes.end();
  return may_change(*record.workspace, record.resources.get(), name, before, after);
}
}  // namespace kairo::provisioner
