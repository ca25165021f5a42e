// agents/launcher/want.h - asks for the Job or the server of a Workspace whose run is prepared.
// Pure.
//
// Once; again when what is seen is not as wished, when somebody has edited it, when one of its
// parts is gone, and now and then while it, or a Service of the server, is never seen at all.
#pragma once
#include "agents/runtime/agent.h"

namespace kairo::launcher {
void want_job(runtime::Decision& decision, const wire::RecordT& record, std::int64_t now_ms);
// While the weights are on their way: the scheduler's binder takes its time to join volume and
// claim, and a pod that comes before that waits seconds for the scheduler's next look.
void want_volume(runtime::Decision& decision, const wire::RecordT& record);
void want_server(runtime::Decision& decision, const wire::RecordT& record, std::int64_t now_ms);
}  // namespace kairo::launcher
