// agents/provisioner/machine.cpp - labels, GPUs, weights.
#include "agents/provisioner/machine.h"

#include <algorithm>
#include <cstdlib>

#include "agents/provisioner/assess.h"

namespace kairo::provisioner {
namespace {
bool carries(const wire::NodeT& node, const wire::LabelT& wanted) {
  return std::any_of(node.labels.begin(), node.labels.end(), [&](const auto& label) {
    return label->key == wanted.key && label->value == wanted.value;
  });
}
}  // namespace

const std::string& label_of(const wire::NodeT& node, const char* key) {
  static const std::string none;
  for (const auto& label : node.labels)
    if (label->key == key) return label->value;
  return none;
}
bool counts(const wire::NodeT& node, const wire::WorkspaceT& w) {
  return node.exists &&
         (node.local || std::all_of(w.match_labels.begin(), w.match_labels.end(),
                                    [&](const auto& label) { return carries(node, *label); }));
}
std::int64_t free_gpus(const std::string& name, const wire::NodeT& node,
                       const runtime::GpusHeld* held) {
  const auto taken = held == nullptr ? runtime::GpusHeld::const_iterator() : held->find(name);
  const bool is_held = held != nullptr && taken != held->end();
  return std::int64_t{node.gpus} - (is_held ? taken->second : 0);
}
std::int64_t gpu_memory_on(const wire::NodeT& node) {
  if (node.gpu_memory_bytes > 0) return node.gpu_memory_bytes;
  return gpu_memory_of(label_of(node, "node.kubernetes.io/instance-type"));
}
bool lie_there(const wire::NodeT& node, const wire::WorkspaceT& w) {
  return std::find(node.models.begin(), node.models.end(), preset_of(w)) != node.models.end();
}
std::int64_t stored_bytes(const wire::NodeT& node, const wire::WorkspaceT& w) {
  const bool is_named = w.tuning ? !w.tuning->weights_image.empty()
                                 : w.inference && !w.inference->weights_image.empty();
  for (const auto& model : node.model_bytes)
    if (!is_named && model->key == preset_of(w))
      return std::max(0LL, std::strtoll(model->value.c_str(), nullptr, 10));
  return 0;
}
bool has_weights(const wire::NodeT& node, const wire::WorkspaceT& w,
                 const catalogue::Preset* preset) {
  const std::string& image = w.tuning ? w.tuning->weights_image : w.inference->weights_image;
  if (!image.empty())  // its agent has them from that image, or fetches it
    return std::find(node.sources.begin(), node.sources.end(), "named") != node.sources.end();
  if (lie_there(node, w)) return true;
  return preset != nullptr && catalogue::can_fetch(*preset, node.sources);  // by its agent
}
std::string label_remedy(const wire::WorkspaceT& w) {
  std::string wanted;
  for (const auto& label : w.match_labels) wanted += " " + label->key + "=" + label->value;
  return wanted.empty() ? "" : "; kubectl label node NAME" + wanted;
}
}  // namespace kairo::provisioner
