// agents/provisioner/buyable.h - whether a node may be bought for a Workspace: what is known not to
// work costs nothing. Pure.
#pragma once
#include <optional>
#include <string>

#include "agents/provisioner/terms.h"
#include "schemas/catalogue/catalogue.h"
#include "schemas/fact_generated.h"

namespace kairo::provisioner {
// Refused, with figures and a remedy; nothing = it may work.
std::optional<wire::ResourcesT> why_not(const wire::WorkspaceT& w, const Terms& terms);
// Of the node's disk: images, weights twice, checkpoints, data.
std::int64_t disk_gib(const wire::WorkspaceT& w);
}  // namespace kairo::provisioner
