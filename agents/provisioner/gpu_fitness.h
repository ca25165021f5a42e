// agents/provisioner/gpu_fitness.h - whether a node's GPUs are well, and new enough, by its agent's
// word. Where its agent says nothing of them nothing is held against it. Pure.
#pragma once
#include <string>

#include "agents/runtime/agent.h"

namespace kairo::provisioner {
// Nothing new may run on it: "GPU 1 (NVIDIA H200, GPU-...): Xid 79 (...): restart the node ..."; a
// device plugin gives any of a node's GPUs, so one that is ill is the node's trouble. "" = it is
// well.
std::string gpu_trouble(const wire::NodeT& node);
// The same for what runs there on the GPU of that uuid: another one's trouble is not its own. uuid
// "" = it is not known which.
std::string gpu_trouble_of(const wire::NodeT& node, const std::string& uuid);
// Our own engine does not run on it: what it has, what is needed, the remedy. "" = it does.
std::string gpu_too_old(const wire::NodeT& node);
std::string capability_needed();  // "8.0", for messages
// "gpu-1: <its trouble>; it is used again when its GPUs are well"
std::string ill_words(const std::string& name, const wire::NodeT& node);
}  // namespace kairo::provisioner
