// agents/role.h - what each agent decides and which facts are its own: the same for the processes
// and for the simulation.
#pragma once
#include <set>
#include <string>

#include "agents/runtime/agent.h"

namespace kairo {
struct Role {
  runtime::Decide decide = nullptr;
  std::set<wire::FactBody> own;  // said again when the bus may have lost them
};
// agent: watcher, provisioner, launcher, node or pusher.
Role role_of(const std::string& agent);
}  // namespace kairo
