// agents/launcher/spread_volume.h - the run directories of one model on several nodes. Pure.
//
// The pods of a StatefulSet share a template, so they cannot name different claims; each gets its
// own from a claim template, "run-volume-<workspace>-<ordinal>". For each such name there is a
// PersistentVolume (local) that is reserved for it and lies on the node of that ordinal: the claim
// binds that one and no other, and takes its pod to that node. They are of one Workspace: the
// launcher removes them with it, or with the node that they belong to.
#pragma once
#include <string>
#include <vector>

#include "agents/launcher/manifest.h"

namespace kairo::launcher {
constexpr const char* volume_owner_label = "kairo.dev/workspace-uid";  // of these volumes

// One for each node of the grant, in its order.
std::vector<cluster::Apply> spread_volumes(const wire::CommandT& command,
                                           const wire::ApplyInferenceT& apply);
Json claim_template(const wire::CommandT& command);
std::string claim_of(const std::string& workspace, std::size_t ordinal);
}  // namespace kairo::launcher
