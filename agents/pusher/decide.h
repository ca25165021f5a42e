// agents/pusher/decide.h - when an adapter is pushed, and what is said about it.
#pragma once
#include "agents/pusher/checkpoint.h"
#include "agents/runtime/agent.h"

namespace kairo::pusher {
// An artifact of the current revision and an output image -> push, once; failures are said as Push
// facts and tried again: the run is kept until the image is there.
// checkpoint_every: how often a run's checkpoint is pushed beside it, at most, in ms.
runtime::Decision decide(const wire::RecordT& record, const runtime::View& view,
                         std::int64_t checkpoint_every = checkpoint_every_ms);
}  // namespace kairo::pusher
