// agents/launcher/decide.h - when a tuning Job or an inference server is made, replaced and
// removed.
#pragma once
#include "agents/runtime/agent.h"

namespace kairo::launcher {
// Resources ready -> run directory wanted -> directory ready -> workload applied. A new revision
// removes the old Job first; a workload that somebody deleted is applied again. Deleting: workload,
// then the directory.
runtime::Decision decide(const wire::RecordT& record, const runtime::View& view);
}  // namespace kairo::launcher
