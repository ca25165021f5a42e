// agents/role.h - what each agent decides and which facts are its own: the same for the processes
// and for the simulation.
#pragma once
#include <string>

#include "agents/provisioner/terms.h"
#include "agents/pusher/checkpoint.h"
#include "agents/runtime/agent.h"

namespace kairo {
// agent: watcher, provisioner, launcher, node or pusher. terms: the provisioner's. The last is the
// pusher's.
runtime::Role role_of(const std::string& agent, const provisioner::Terms& terms = {},
                      std::int64_t checkpoint_every_ms = pusher::checkpoint_every_ms);
}  // namespace kairo
