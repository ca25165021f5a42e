// agents/provisioner/decide.h - which node a Workspace gets, or why it gets none.
#pragma once
#include "agents/runtime/agent.h"

namespace kairo::provisioner {
// First slice: nodes that are there (local mode and the user's own nodes). What cannot work is
// refused before anything starts, with what it needs, what there is, and what to do.
runtime::Decision decide(const wire::RecordT& record, const runtime::View& view);
// See runtime::Concerns: a grant is about the nodes that it names, what waits about those that
// match.
bool concerns(const wire::RecordT& record, const std::string& name, const wire::NodeT* before,
              const wire::NodeT& after);
}  // namespace kairo::provisioner
