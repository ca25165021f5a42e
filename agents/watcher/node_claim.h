// agents/watcher/node_claim.h - a NodeClaim or NodePool of a Workspace, as a fact's body. Pure.
#pragma once
#include <nlohmann/json_fwd.hpp>

#include "schemas/fact_generated.h"

namespace kairo::watcher {
// whose: gets the Workspace: its uid, or, of another controller's, its namespace and name alone;
// name "" = it is for none. These objects have no owner reference.
wire::NodeClaimT node_claim(const nlohmann::json& object, wire::FactT& whose);
}  // namespace kairo::watcher
