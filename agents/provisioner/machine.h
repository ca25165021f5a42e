// agents/provisioner/machine.h - what is read of one node. Pure.
#pragma once
#include <string>

#include "agents/runtime/agent.h"
#include "schemas/catalogue/catalogue.h"

namespace kairo::provisioner {
const std::string& label_of(const wire::NodeT& node, const char* key);  // "" = it has none
// It is there and carries the Workspace's labels. Local mode has one machine: labels would only
// ever say no.
bool counts(const wire::NodeT& node, const wire::WorkspaceT& w);
// GPUs that no Workspace has; below 0: more are promised than there are. held: null = none is.
std::int64_t free_gpus(const std::string& name, const wire::NodeT& node,
                       const runtime::GpusHeld* held);
// Of one GPU. Where nothing on the node tells it, its machine type does.
std::int64_t gpu_memory_on(const wire::NodeT& node);
// The weights of its preset. What an image of the user's own holds is not told by name.
bool lie_there(const wire::NodeT& node, const wire::WorkspaceT& w);
// Of the files of the preset's own weights that lie there; 0: none do, or its agent is an older
// one.
std::int64_t stored_bytes(const wire::NodeT& node, const wire::WorkspaceT& w);
// They lie there, or its agent fetches them. preset: of the Workspace; null = not in the catalogue.
bool has_weights(const wire::NodeT& node, const wire::WorkspaceT& w,
                 const catalogue::Preset* preset);
// "; kubectl label node NAME key=value": how a node comes to count.
std::string label_remedy(const wire::WorkspaceT& w);
}  // namespace kairo::provisioner
