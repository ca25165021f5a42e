// agents/watcher/decide.h - finalizer, revision, status: what the watcher writes on a Workspace.
#pragma once
#include "agents/runtime/agent.h"

namespace kairo::watcher {
runtime::Decision decide(const wire::RecordT& record, const runtime::View& view);
}  // namespace kairo::watcher
