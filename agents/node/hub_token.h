// agents/node/hub_token.h - the token of a hub in a Secret.
#pragma once
#include <string>

#include "agents/cluster/cluster.h"
#include "schemas/base/result.h"

namespace kairo::node {
// The Secret's key HF_TOKEN, as KAITO has it. Never logged, never part of a message. not_found: no
// such Secret, or no such key. invalid: kairo may not read it.
Result<std::string> hub_token(cluster::Cluster& cluster, const std::string& ns,
                              const std::string& secret);
}  // namespace kairo::node
