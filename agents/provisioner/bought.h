// agents/provisioner/bought.h - nodes that are bought: asked for, followed to the grant. Pure.
#pragma once
#include "agents/provisioner/claims.h"
#include "agents/provisioner/stage.h"

namespace kairo::provisioner {
// Of a Workspace that is there: its next step on the way to its nodes. Granted when all are usable.
void buy(runtime::Decision& d, const wire::RecordT& record, const runtime::View& view,
         const Terms& terms);
// A word about nodes that are bought; with all that the next one rests on.
wire::ResourcesT bought_word(const wire::RecordT& record, const Told& claim, const Told& node);
void say(runtime::Decision& d, const wire::RecordT& record, wire::ResourcesT out,
         const Orders& orders);
}  // namespace kairo::provisioner
