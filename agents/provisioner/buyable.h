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
// How many nodes of its machine type it needs, where it may work: by KAITO's estimate, at most
// resource.count; of a template's pods each gets one.
std::uint32_t nodes_needed(const wire::WorkspaceT& w);
// Of the node's disk: images, weights twice, checkpoints, data.
std::int64_t disk_gib(const wire::WorkspaceT& w);
}  // namespace kairo::provisioner
