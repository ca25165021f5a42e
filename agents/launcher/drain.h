// agents/launcher/drain.h - a tuning whose GPU is ill, or that makes no step, is ended. Pure.
#pragma once
#include "agents/runtime/decision.h"

namespace kairo::launcher {
// Asks that the Job goes where its GPU is ill and no other can be had, and once where its node
// agent has seen it stall; it is made anew, and goes on from its checkpoint, when there is a GPU.
// true: nothing else is to be wished for meanwhile.
bool drain(runtime::Decision& d, const wire::RecordT& record, std::int64_t now_ms);
}  // namespace kairo::launcher
