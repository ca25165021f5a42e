// agents/provisioner/gpu_fitness.cpp - the first trouble that there is, in words.
#include "agents/provisioner/gpu_fitness.h"

#include <cstdlib>

#include "schemas/base/gpu_limits.h"

namespace kairo::provisioner {
namespace {
int number_of(const std::string& text) {  // "580.95.05" -> 580; 0 = it is none
  return static_cast<int>(std::strtol(text.c_str(), nullptr, 10));
}
}  // namespace

std::string gpu_trouble(const wire::NodeT& node) {
  if (node.gpus == 0 || !node.seen_gpus) return {};
  for (std::size_t i = 0; i < node.seen_gpus->gpus.size(); ++i) {
    const wire::NodeGpuT& gpu = *node.seen_gpus->gpus[i];
    if (gpu.trouble.empty()) continue;
    return "GPU " + std::to_string(i) + " (" + gpu.name + ", " + gpu.uuid + "): " + gpu.trouble;
  }
  return node.seen_gpus->trouble;
}

std::string gpu_trouble_of(const wire::NodeT& node, const std::string& uuid) {
  if (node.gpus == 0 || !node.seen_gpus) return {};
  if (!uuid.empty() && node.seen_gpus->trouble.empty())
    for (const auto& gpu : node.seen_gpus->gpus)
      if (gpu->uuid == uuid && gpu->trouble.empty()) return {};
  return gpu_trouble(node);
}

std::string gpu_too_old(const wire::NodeT& node) {
  if (node.gpus == 0 || !node.seen_gpus) return {};
  const int driver = number_of(node.seen_gpus->driver);
  const std::string needed = std::to_string(needed_driver);
  if (driver > 0 && driver < needed_driver)
    return "its NVIDIA driver is " + node.seen_gpus->driver + ", and kairo's engine needs " +
           needed + " or newer: install driver " + needed + " on it";
  for (const auto& gpu : node.seen_gpus->gpus) {
    const int major = number_of(gpu->capability);
    if (major > 0 && major < needed_capability)
      return "its " + gpu->name + " has compute capability " + gpu->capability +
             ", and kairo's engine needs " + capability_needed() +
             " or newer: take a node with an A100, L4, RTX 3000 or a newer GPU";
  }
  return {};
}

std::string capability_needed() {
  return std::to_string(needed_capability) + ".0";
}

std::string ill_words(const std::string& name, const wire::NodeT& node) {
  return "node " + name + ": " + gpu_trouble(node) + "; it is used again when its GPUs are well";
}
}  // namespace kairo::provisioner
