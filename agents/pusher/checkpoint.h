// agents/pusher/checkpoint.h - when a run's newest checkpoint is pushed beside the adapter's place,
// so that a node that is lost with its disk takes no more than the steps since, and when it is
// taken away again. Pure.
#pragma once
#include "agents/runtime/agent.h"

namespace kairo::pusher {
// At most so often; at once when the run is stopped, or its node is about to go.
constexpr std::int64_t checkpoint_every_ms = 300'000;

// Of a Workspace with an output image, where the annotation says so; without it on nodes that may
// be taken away at any time (spot, preemptible). every_ms: the rhythm.
void push_checkpoint(runtime::Decision& decision, const wire::RecordT& record,
                     const runtime::View& view, std::int64_t every_ms);
// What was pushed is of no use any more: the adapter is there, or the Workspace goes.
void drop_checkpoint(runtime::Decision& decision, const wire::RecordT& record,
                     const runtime::View& view);
bool is_spot(const wire::NodeT& node);
}  // namespace kairo::pusher
