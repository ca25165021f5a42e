// agents/node/adapters_wanted.h - which tuned adapters the server of a run on this node is to have.
// Pure.
#pragma once
#include "agents/runtime/agent.h"

namespace kairo::node {
// Asked for when the server has an address, and again when what is wanted, or where, is another.
void want_adapters(runtime::Decision& decision, const wire::RecordT& record,
                   const runtime::View& view);
}  // namespace kairo::node
