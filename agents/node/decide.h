// agents/node/decide.h - what the agent of one node does: run directories and finished adapters.
#pragma once
#include "agents/runtime/agent.h"

namespace kairo::node {
// Runs of other nodes than view.self are not ours.
runtime::Decision decide(const wire::RecordT& record, const runtime::View& view);
}  // namespace kairo::node
