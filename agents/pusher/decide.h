// agents/pusher/decide.h - when an adapter is pushed, and what is said about it.
#pragma once
#include "agents/runtime/agent.h"

namespace kairo::pusher {
// An artifact of the current revision and an output image -> push, once; failures are said as Push
// facts and tried again: the run is kept until the image is there.
runtime::Decision decide(const wire::RecordT& record, const runtime::View& view);
}  // namespace kairo::pusher
