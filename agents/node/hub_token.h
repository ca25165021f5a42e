// agents/node/hub_token.h - what weights are fetched with, from Secrets: a hub's token, a
// registry's docker config.
#pragma once
#include <string>

#include "agents/cluster/cluster.h"
#include "schemas/base/result.h"

namespace kairo::node {
// The Secret's key HF_TOKEN, as KAITO has it. Never logged, never part of a message. not_found: no
// such Secret, or no such key. invalid: kairo may not read it.
Result<std::string> hub_token(cluster::Cluster& cluster, const std::string& ns,
                              const std::string& secret);
// The docker config of a Secret; field: of the Workspace, that names it. Errors as above.
Result<std::string> pull_config(cluster::Cluster& cluster, const std::string& ns,
                                const std::string& secret,
                                const std::string& field = "presetOptions.imagePullSecrets");
}  // namespace kairo::node
