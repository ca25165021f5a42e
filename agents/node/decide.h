// agents/node/decide.h - what the agent of one node does: run directories and finished adapters.
#pragma once
#include "agents/runtime/agent.h"

namespace kairo::node {
// `self`: this node's name; runs of other nodes are not ours.
runtime::Decision decide(const wire::RecordT& record, const runtime::View& view,
                         const std::string& self);
}  // namespace kairo::node
