// agents/provisioner/give_back.h - bought nodes that are of no more use are given back. Pure.
#pragma once
#include "agents/provisioner/terms.h"
#include "agents/runtime/agent.h"

namespace kairo::provisioner {
// Of a tuning that is over: a node that is not needed any more is given back after a while.
void rest(runtime::Decision& d, const wire::RecordT& record, const runtime::View& view,
          const Terms& terms);
// Of one that leaves, or has gone: everything is given back.
void leave(runtime::Decision& d, const wire::RecordT& record, const runtime::View& view,
           const Terms& terms);
bool was_given_back(const wire::RecordT& record);
}  // namespace kairo::provisioner
