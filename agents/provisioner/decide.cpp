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
const std::vector<std::string>* granted_to(const wire::RecordT& record) {
  const wire::ResourcesT* said = record.resources.get();
  if (said == nullptr || said->state != ResourcesState::Ready ||
      said->revision != record.workspace->revision)
    return nullptr;
  return &said->nodes;
}
// A grant stands while its nodes are there: one that is late, or that holds other models by now,
// ends nothing that runs there.
bool stands(const std::vector<std::string>& granted, const runtime::Nodes& nodes) {
  return std::all_of(granted.begin(), granted.end(), [&](const std::string& name) {
    const auto node = nodes.find(name);
    return node != nodes.end() && node->second.exists;
  });
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
  if (granted != nullptr && stands(*granted, view.nodes)) return d;
  runtime::publish(d, record, assess(*record.workspace, view.nodes));
  return d;
}

bool concerns(const wire::RecordT& record, const std::string& name, const wire::NodeT* before,
              const wire::NodeT& after) {
  if (!asks_for_nodes(record)) return false;
  if (const auto* granted = granted_to(record))
    return !after.exists && std::find(granted->begin(), granted->end(), name) != granted->end();
  return may_change(*record.workspace, record.resources.get(), name, before, after);
}
}  // namespace kairo::provisioner
