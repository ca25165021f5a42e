// agents/watcher/status.h - what a Workspace's status says, composed from facts. Pure.
// Types, reasons, states: KAITO's (tools match on them); what it never tells is in the messages and
// in status.tuning and status.artifact.
#pragma once
#include <cstdint>
#include <string>

#include "agents/runtime/agent.h"
#include "schemas/record_generated.h"
#include "schemas/status_generated.h"

namespace kairo::watcher {
// lastTransitionTime is kept, from what was told last or from what the object shows, where a
// condition's status did not change.
// leaving: what a deletion waits for. named: the tuning Workspaces whose adapters it serves.
wire::StatusT compose(const wire::RecordT& record, std::int64_t now_ms,
                      const std::string& leaving = "", const runtime::Named& named = nullptr);
}  // namespace kairo::watcher
