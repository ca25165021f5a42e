// agents/provisioner/assess.h - what the nodes that are there can do for a Workspace. Pure.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "agents/provisioner/estimate.h"
#include "agents/runtime/agent.h"

namespace kairo::provisioner {
wire::ResourcesT word(const wire::WorkspaceT& w, wire::ResourcesState state, std::string reason,
                      std::string message);
// What no node can make good: a Workspace that cannot be read, two nodes, an unknown preset.
std::optional<wire::ResourcesT> refusal_of(const wire::WorkspaceT& w);
bool is_template(const wire::WorkspaceT& w);  // a pod of the user's own
// Where there are GPUs vLLM serves it: its family has no engine of ours, or it is large.
bool by_vllm(const wire::WorkspaceT& w, const catalogue::Preset& preset);
const std::string& preset_of(const wire::WorkspaceT& w);
Need need_of(const wire::WorkspaceT& w, const catalogue::Preset& preset, bool on_cpu,
             std::int64_t stored_bytes = 0);
// Memory of one GPU of such a machine; 0 = not known.
std::int64_t gpu_memory_of(const std::string& instance_type);
// Of one node that is Ready: Ready on it, or Refused; the preset is known, or there is a
// template.
wire::ResourcesT assess_node(const wire::WorkspaceT& w, const std::string& name,
                             const wire::NodeT& node);
// Ready on a node that can run it, else Refused or Waiting, with the reason. Of several one with
// enough free GPUs, then one of `had` (places of an earlier revision: its data and checkpoints lie
// there), then one with the weights, then the one with the most free GPUs, the first by name.
// held: null = all are free.
wire::ResourcesT assess(const wire::WorkspaceT& w, const runtime::Nodes& nodes,
                        const runtime::GpusHeld* held, const std::vector<std::string>& had);
// false: this news of a node leaves assess() at what was said last. before: null = not known.
bool may_change(const wire::WorkspaceT& w, const wire::ResourcesT* said, const std::string& name,
                const wire::NodeT* before, const wire::NodeT& after);
}  // namespace kairo::provisioner
