// agents/provisioner/buyable.cpp - model, then machine type, then whether the one fits the other.
#include "agents/provisioner/buyable.h"

#include <cmath>

#include "agents/provisioner/assess.h"
#include "agents/provisioner/estimate.h"

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
constexpr const char* one_is_bought =
    ", and one node is bought for a Workspace; set it to 1 with a larger instanceType, or "
    "give kairo the nodes (node-provisioner own)";
std::string count_of(const wire::WorkspaceT& w) {
  return "resource.count is " + std::to_string(w.count);
}
wire::ResourcesT refused(const wire::WorkspaceT& w, const char* reason, std::string message) {
  return word(w, ResourcesState::Refused, reason, std::move(message));
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
                       retired->reason + ", and the CUDA build needs 7.5 or newer" + remedy);
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
  const std::int64_t there = gpu_memory_of(w.instance_type);
  const bool fits = by_vllm(w, preset)
                        ? vllm_gpus(preset, there, static_cast<std::uint32_t>(sku->gpus)) > 0
                        : need.memory_bytes <= there;
  if (fits) return std::nullopt;
  if (w.count > 1)
    return refused(w, "UnsupportedNodeCount",
                   preset.name + " does not fit on one " + w.instance_type + "; " + count_of(w) +
                       one_is_bought);
  return refused(w, "InsufficientMemory",
                 preset.name + " needs about " + gib(need.memory_bytes) + " on one GPU to " +
                     (w.tuning ? "tune (" + w.tuning->method + ")" : "serve") + " (" + need.why +
                     "); a GPU of " + w.instance_type + " has " + gib(there) + remedy);
}
}  // namespace

std::optional<wire::ResourcesT> why_not(const wire::WorkspaceT& w, const Terms& terms) {
  if (auto known = refusal_of(w)) return known;
  if (is_template(w)) {
    if (w.count > 1) return refused(w, "UnsupportedNodeCount", count_of(w) + one_is_bought);
    if (!w.instance_type.empty()) return std::nullopt;
    return refused(w, "UnsupportedInstanceType",
                   "resource.instanceType is empty, and nodes are bought here");
  }
  const catalogue::Preset& preset = *catalogue::find_preset(preset_of(w));
  const Need need = need_of(w, preset, false);
  if (!is_native(preset.architecture) && !by_vllm(w, preset))
    return refused(w, "UnsupportedModel",
                   preset.name + " (" + preset.architecture +
                       ") needs an engine for its family: kairo's own has " +
                       native_architectures() +
                       " so far; "
                       "choose a Llama preset, e.g. smollm2-135m-instruct");
  return check_machine(w, terms, preset, need);
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
