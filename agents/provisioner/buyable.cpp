// agents/provisioner/buyable.cpp - model, then machine type, then whether the one fits the other.
#include "agents/provisioner/buyable.h"

#include <algorithm>
#include <cmath>

#include "agents/provisioner/assess.h"
#include "agents/provisioner/estimate.h"
#include "agents/provisioner/gpu_fitness.h"
#include "agents/provisioner/spread.h"

namespace kairo::provisioner {
namespace {
using wire::ResourcesState;
constexpr double bytes_per_gib = 1073741824.0;

// "; use A, B or C": the three smallest whose GPU is large enough.
std::string advice(const Need& need, const std::string& cloud) {
  std::string out;
  int named = 0;
  for (const catalogue::Sku* sku : catalogue::skus_that_fit(
           static_cast<double>(need.memory_bytes) / bytes_per_gib, cloud, catalogue::skus().size()))
    if (gpu_memory_of(sku->name) >= need.memory_bytes && named++ < 3)
      out += (out.empty() ? "" : ", ") + sku->name;
  return out.empty() ? "; no machine type of the catalogue has such a GPU" : "; use one of " + out;
}
bool fits_on_one(const wire::WorkspaceT& w, const catalogue::Preset& preset,
                 const catalogue::Sku& sku) {
  const std::int64_t there = gpu_memory_of(sku.name);
  return by_vllm(w, preset) ? vllm_gpus(preset, there, static_cast<std::uint32_t>(sku.gpus)) > 0
                            : need_of(w, preset, false).memory_bytes <= there;
}
// 0: no number of them does.
std::uint32_t nodes_of(const catalogue::Preset& preset, const catalogue::Sku& sku) {
  return nodes_with(static_cast<std::uint32_t>(sku.gpus), gpu_memory_of(sku.name), preset);
}
wire::ResourcesT refused(const wire::WorkspaceT& w, const char* reason, std::string message) {
  return word(w, ResourcesState::Refused, reason, std::move(message));
}

// Of a model that no single one holds, where the user allows several.
std::optional<wire::ResourcesT> check_nodes(const wire::WorkspaceT& w,
                                            const catalogue::Preset& preset,
                                            const catalogue::Sku& sku, std::uint32_t nodes) {
  if (nodes > 0 && nodes <= w.count) return std::nullopt;
  const std::string gpu = gib(gpu_memory_of(sku.name));
  if (nodes == 0)
    return refused(w, "InsufficientMemory",
                   "a GPU of " + sku.name + " has " + gpu + ", too little for any stage of " +
                       preset.name + "; use an instanceType with larger GPUs");
  const std::string n = std::to_string(nodes);
  return refused(w, "InsufficientMemory",
                 preset.name + " needs " + n + " nodes of " + sku.name + " (" +
                     std::to_string(sku.gpus) + (sku.gpus == 1 ? " GPU of " : " GPUs of ") + gpu +
                     ") for weights of " +
                     gib(static_cast<std::int64_t>(preset.weights_gib * bytes_per_gib)) +
                     ", and resource.count is " + std::to_string(w.count) +
                     "; make the Workspace anew with resource.count: " + n +
                     ", or with a larger instanceType");
}

std::optional<wire::ResourcesT> check_machine(const wire::WorkspaceT& w, const Terms& terms,
                                              const catalogue::Preset& preset, const Need& need) {
  const std::string cloud = cloud_of(terms), remedy = advice(need, cloud);
  if (w.instance_type.empty())
    return refused(w, "UnsupportedInstanceType",
                   "resource.instanceType is empty, and nodes are bought here" + remedy);
  const std::string named = "instanceType " + w.instance_type;
  if (const auto* retired = catalogue::find_retired(w.instance_type))
    return refused(w, "UnsupportedInstanceType",
                   named + " (" + std::to_string(retired->gpus) + "x " + retired->gpu +
                       ", compute capability " + retired->compute_capability + ") is " +
                       retired->reason + ", and the CUDA build needs " + capability_needed() +
                       " or newer" + remedy);
  const auto* sku = catalogue::find_sku(w.instance_type);
  if (sku == nullptr)
    return refused(w, "UnsupportedInstanceType", named + " is not in the catalogue" + remedy);
  if (!cloud.empty() && sku->cloud != cloud)
    return refused(w, "UnsupportedInstanceType",
                   named + " is one of " + sku->cloud + ", and nodes are bought of " + cloud +
                       " here" + remedy);
  if (sku->compute_capability.empty())
    return refused(w, "UnsupportedInstanceType",
                   named + " has " + sku->gpu + ", and the engine needs NVIDIA GPUs" + remedy);
  if (fits_on_one(w, preset, *sku)) return std::nullopt;
  const std::uint32_t nodes = w.inference ? nodes_of(preset, *sku) : 0;
  if (w.count > 1) return check_nodes(w, preset, *sku, nodes);
  std::string together;
  if (nodes > 1)
    together = "; or " + std::to_string(nodes) +
               " nodes of it together: make the Workspace anew with resource.count: " +
               std::to_string(nodes);
  return refused(w, "InsufficientMemory",
                 preset.name + " needs about " + gib(need.memory_bytes) + " on one GPU to " +
                     (w.tuning ? "tune (" + w.tuning->method + ")" : "serve") + " (" + need.why +
                     "); a GPU of " + w.instance_type + " has " +
                     gib(gpu_memory_of(w.instance_type)) + remedy + together);
}
}  // namespace

std::optional<wire::ResourcesT> why_not(const wire::WorkspaceT& w, const Terms& terms) {
  if (auto known = refusal_of(w)) return known;
  if (is_template(w)) {
    if (!w.instance_type.empty()) return std::nullopt;
    return refused(w, "UnsupportedInstanceType",
                   "resource.instanceType is empty, and nodes are bought here");
  }
  const catalogue::Preset& preset = *catalogue::find_preset(preset_of(w));
  const Need need = need_of(w, preset, false);
  if (!is_native(preset) && !by_vllm(w, preset))
    return refused(w, "UnsupportedModel",
                   preset.name + " (" + preset.architecture + ") needs " + why_not_native(preset) +
                       "; choose another preset, e.g. smollm2-135m-instruct");
  return check_machine(w, terms, preset, need);
}

std::uint32_t nodes_needed(const wire::WorkspaceT& w) {
  if (!w.inference || w.count <= 1) return 1;
  if (is_template(w)) return w.count;
  const auto* preset = catalogue::find_preset(preset_of(w));
  const auto* sku = catalogue::find_sku(w.instance_type);
  if (preset == nullptr || sku == nullptr || fits_on_one(w, *preset, *sku)) return 1;
  return std::max<std::uint32_t>(nodes_of(*preset, *sku), 1);
}

std::int64_t disk_gib(const wire::WorkspaceT& w) {
  constexpr std::int64_t images_and_data_gib = 120;
  const catalogue::Preset* preset = catalogue::find_preset(preset_of(w));
  const double weights_gib = preset == nullptr ? 0 : preset->weights_gib;
  return images_and_data_gib + static_cast<std::int64_t>(std::ceil(3 * weights_gib));
}

std::string cloud_of(const Terms& terms) {
  const std::string& group = terms.node_class.group;
  if (group == "kaito.sh" || group == "karpenter.azure.com") return "azure";
  return group == "karpenter.k8s.aws" ? "aws" : "";
}
}  // namespace kairo::provisioner
