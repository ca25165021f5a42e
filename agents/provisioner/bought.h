// agents/provisioner/bought.h - nodes that are bought: asked for, followed, given back. Pure.
#pragma once
#include <string>

#include "agents/provisioner/terms.h"
#include "agents/runtime/agent.h"

namespace kairo::provisioner {
// Of a Workspace that is there: its next step on the way to a node.
void buy(runtime::Decision& d, const wire::RecordT& record, const runtime::View& view,
         const Terms& terms);
// Of a tuning that is over: a node that is not needed any more is given back after a while.
void rest(runtime::Decision& d, const wire::RecordT& record, const runtime::View& view,
          const Terms& terms);
// Of one that leaves, or has gone: everything is given back.
void leave(runtime::Decision& d, const wire::RecordT& record, const runtime::View& view,
           const Terms& terms);
bool has_succeeded(const wire::RecordT& record);
bool was_given_back(const wire::RecordT& record);
// "ws" and nine hex digits, as KAITO's, for a NodeClaim (a provider makes it the name of a pool of
// machines: 12 characters at most); a NodePool's says whose it is. Another one for each attempt.
std::string claim_name(const wire::RecordT& record, std::uint32_t attempt, const Terms& terms);
// How long until the next one is asked for, after so many that came to nothing.
std::int64_t retry_after_ms(std::uint32_t failures);
}  // namespace kairo::provisioner
