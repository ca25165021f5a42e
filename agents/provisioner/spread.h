// agents/provisioner/spread.h - one model on several nodes (resource.count > 1). Pure.
//
// vLLM serves it in a pipeline of N stages, one a node, each split over the node's GPUs. N is
// KAITO's estimate, at most `count`. All stages wait for the slowest, so the nodes are alike: of
// each as many GPUs (a power of two), of the same memory.
#pragma once
#include <optional>
#include <vector>

#include "agents/runtime/agent.h"
#include "schemas/catalogue/catalogue.h"

namespace kairo::provisioner {
// Of inference with resource.count > 1, where no single node serves it, or of a template, of whose
// pod each node gets one. Ready, Waiting or Refused, with figures and a remedy; nothing: no node
// that counts has GPUs and weights, which is told as for one.
//
// Granted only where the GPUs are free: two that each hold a part of the same nodes would wait for
// each other for ever.
std::optional<wire::ResourcesT> spread(const wire::WorkspaceT& w, const runtime::Nodes& nodes,
                                       const runtime::GpusHeld* held);
// Of machines that are there for this Workspace, and Ready: Ready on all of them, which are the
// `needed` nodes of its model; else what they lack. Of fewer machines than that: whether they may
// be among them.
using Machines = std::vector<const runtime::Nodes::value_type*>;
wire::ResourcesT assess_together(const wire::WorkspaceT& w, const Machines& machines,
                                 std::uint32_t needed);
// How many nodes with so many GPUs serve it together; 0: no number of them does.
std::uint32_t nodes_with(std::uint32_t gpus, std::int64_t gpu_memory_bytes,
                         const catalogue::Preset& preset);
std::uint32_t nodes_like(const wire::NodeT& node, const catalogue::Preset& preset);
// A word of spread() that the end of another Workspace may change.
bool waits_for_gpus(const wire::ResourcesT& said);
// What the others hold.
runtime::GpusHeld held_by_others(const runtime::GpusHeld& held, const wire::ResourcesT* own);
}  // namespace kairo::provisioner
