// agents/provisioner/assess.h - what the nodes that are there can do for a Workspace. Pure.
#pragma once
#include <string>

#include "agents/runtime/agent.h"

namespace kairo::provisioner {
wire::ResourcesT word(const wire::WorkspaceT& w, wire::ResourcesState state, std::string reason,
                      std::string message);
// Ready on the first node (by name) that can run it; else Refused or Waiting, with the reason.
wire::ResourcesT assess(const wire::WorkspaceT& w, const runtime::Nodes& nodes);
// false: this news of a node leaves assess() at what was said last. before: null = not known.
bool may_change(const wire::WorkspaceT& w, const wire::ResourcesT* said, const std::string& name,
                const wire::NodeT* before, const wire::NodeT& after);
}  // namespace kairo::provisioner
