// agents/provisioner/assess.cpp - preset known? engine? weights? room? Each node in turn.
#include "agents/provisioner/assess.h"

#include <algorithm>
#include <optional>
#include <tuple>

#include "agents/provisioner/estimate.h"
#include "agents/provisioner/gpu_fitness.h"
#include "agents/provisioner/image_volumes.h"
#include "agents/provisioner/machine.h"
#include "agents/provisioner/spread.h"

namespace kairo::provisioner {
namespace {
using Named = runtime::Nodes::value_type;
using wire::ResourcesState;
using wire::ResourcesT;

constexpr std::int64_t serving_cpu_milli = 100;

// Of a CPU node more than half, so that two tunings do not share its cores; what DaemonSets ask for
// fits beside. Beside each GPU its share of that half. No limit: what is idle may be used.
std::int64_t tuning_cpu_milli(const wire::NodeT& node) {
  const std::int64_t half = node.cpu_milli / 2;
  return std::max<std::int64_t>(node.gpus > 0 ? half / node.gpus : half + 1, 500);
}

// All that assess() reads of a node that counts.
auto what_counts(const wire::NodeT& n) {
  return std::tie(n.ready, n.cpu_milli, n.memory_bytes, n.gpus, n.gpu_memory_bytes, n.local,
                  n.models, n.sources, n.kubelet, n.container_runtime);
}
bool is_same_health(const wire::NodeT& a, const wire::NodeT& b) {
  return gpu_trouble(a) == gpu_trouble(b) && gpu_too_old(a) == gpu_too_old(b);
}
bool is_same_weights(const wire::NodeT& a, const wire::NodeT& b, const wire::WorkspaceT& w) {
  return w.tuning || stored_bytes(a, w) == stored_bytes(b, w);
}
Need need_on(const wire::WorkspaceT& w, const catalogue::Preset& preset, const wire::NodeT& node) {
  return need_of(w, preset, node.gpus == 0, stored_bytes(node, w));
}
std::int64_t room_of(const wire::NodeT& node) {
  return node.gpus > 0 ? gpu_memory_on(node) : node.memory_bytes;
}
// " instanceType ... is retired ...; use ..." when the user names a machine type that cannot serve.
std::string about_instance_type(const wire::WorkspaceT& w, const catalogue::Preset& preset) {
  const auto* retired = catalogue::find_retired(w.instance_type);
  if (retired == nullptr) return {};
  const Need need = tuning_need(preset, w.tuning ? w.tuning->method : "lora", false);
  std::string out = " instanceType " + retired->name + " (" + std::to_string(retired->gpus) + "x " +
                    retired->gpu + ", compute capability " + retired->compute_capability + ") is " +
                    retired->reason + ", and the CUDA build needs " + capability_needed() +
                    " or newer; in a cluster use " + retired->successor;
  const auto fits =
      catalogue::skus_that_fit(static_cast<double>(need.memory_bytes) / 1073741824.0, "azure", 3);
  std::string others;
  for (const catalogue::Sku* sku : fits)
    if (sku->name != retired->successor) others += (others.empty() ? "" : ", ") + sku->name;
  return out + (others.empty() ? "." : " or " + others + ".");
}

// How a model, or a pod of the user's own, would run on a node.
struct Way {
  const char* runtime = "";  // as in Resources
  std::uint32_t gpus = 0;
};
// preset: null of a template.
std::optional<Way> way_on(const wire::WorkspaceT& w, const catalogue::Preset* preset,
                          const wire::NodeT& node, const Need& need) {
  if (preset == nullptr) {
    const std::uint32_t gpus = w.inference->template_gpus;
    return node.gpus >= gpus ? std::optional(Way{"template", gpus}) : std::nullopt;
  }
  if (!has_weights(node, w, preset)) return std::nullopt;
  const bool is_on_gpus = node.gpus > 0 && !node.local;
  if (is_native(*preset) && !(is_on_gpus && by_vllm(w, *preset))) {
    if (!gpu_too_old(node).empty()) return std::nullopt;
    const bool fits = need.memory_bytes <= room_of(node);
    return fits ? std::optional(Way{"", node.gpus > 0 ? 1U : 0U}) : std::nullopt;
  }
  if (!by_vllm(w, *preset) || node.local) return std::nullopt;
  const std::uint32_t gpus = vllm_gpus(*preset, gpu_memory_on(node), node.gpus);
  return gpus > 0 ? std::optional(Way{"vllm", gpus}) : std::nullopt;
}

ResourcesT grant(const wire::WorkspaceT& w, const std::string& name, const wire::NodeT& node,
                 const Need& need, const Way& way) {
  ResourcesT out = word(w, ResourcesState::Ready, "", "");
  out.nodes = {name};
  out.places = {name + "/" + node.uid};
  out.gpus = way.gpus;
  out.runtime = way.runtime;
  out.local = node.local;
  out.image_volumes = has_image_volumes(node);
  for (const auto& label : node.labels)
    if (label->key == "kubernetes.io/hostname") out.hostname = label->value;
  if (is_template(w)) return out;  // what it asks for stands in it
  out.memory_bytes = need.memory_bytes;
  out.memory_limit_bytes =
      std::min<std::int64_t>(2 * need.memory_bytes + (1LL << 30), node.memory_bytes);
  out.cpu_milli = w.tuning ? tuning_cpu_milli(node) : serving_cpu_milli;
  return out;
}

ResourcesT about(const std::string& node, ResourcesT said) {
  said.measured = node;
  return said;
}

ResourcesT refuse_template(const wire::WorkspaceT& w, const std::string& name,
                           const wire::NodeT& node) {
  return about(
      name, word(w, ResourcesState::Refused, "InsufficientGPUs",
                 "the containers of inference.template ask for " +
                     std::to_string(w.inference->template_gpus) + " nvidia.com/gpu; node " + name +
                     " has " + std::to_string(node.gpus)));
}
// What this machine or these nodes lack, all of it in one message.
ResourcesT refuse(const wire::WorkspaceT& w, const catalogue::Preset& preset,
                  const std::string& name, const wire::NodeT& node, const Need& need) {
  const bool is_vllm = by_vllm(w, preset) && !node.local && node.gpus > 0;
  const std::string too_old = gpu_too_old(node);
  if (is_native(preset) && !is_vllm && !too_old.empty())
    return about(name, word(w, ResourcesState::Refused, "UnsupportedGPU",
                            "node " + name + " cannot run " + preset.name + ": " + too_old));
  const std::string verb = w.tuning ? "tune (" + w.tuning->method + ")" : "serve";
  const bool fits = is_vllm ? vllm_gpus(preset, gpu_memory_on(node), node.gpus) > 0
                            : need.memory_bytes <= room_of(node);
  const std::string there =
      "node " + name + " has " + gib(node.memory_bytes) + " of memory" +
      (node.gpus > 0
           ? ", " + gib(gpu_memory_on(node)) + " on " +
                 (node.gpus == 1 ? "a GPU" : "each of " + std::to_string(node.gpus) + " GPUs")
           : " and no GPU");
  std::string message = preset.name + " needs about " + gib(need.memory_bytes) + " to " + verb +
                        " (" + need.why + "); " + there + ".";
  std::string reason = "InsufficientMemory";
  if (!is_native(preset) && !is_vllm) {
    const std::string remedy = by_vllm(w, preset) && !node.local
                                   ? ". vLLM serves it on a node with GPUs."
                                   : ". Choose another preset, e.g. smollm2-135m-instruct.";
    reason = "UnsupportedModel";
    message = preset.name + " (" + preset.architecture + ") needs about " + gib(need.memory_bytes) +
              " to " + verb + " (" + need.why + ") and " + why_not_native(preset) + "; " + there +
              remedy;
  } else if (fits) {
    reason = "ModelNotFound";
    message +=
        " Its weights are not on this node: put config.json, tokenizer.json and "
        "*.safetensors into the models folder, under " +
        preset.name + ".";
  } else if (by_vllm(w, preset) && !node.local && node.gpus == 0) {
    message += " vLLM serves it on a node with GPUs.";
  } else if (w.inference && w.count == 1 && !node.local) {
    const std::uint32_t nodes = nodes_like(node, preset);
    const std::string n = std::to_string(nodes);
    if (nodes > 1)
      message += " " + n +
                 " nodes like this one serve it together: make the Workspace anew with "
                 "resource.count: " +
                 n + ".";
  }
  return about(name,
               word(w, ResourcesState::Refused, reason, message + about_instance_type(w, preset)));
}

}  // namespace

ResourcesT word(const wire::WorkspaceT& w, ResourcesState state, std::string reason,
                std::string message) {
  ResourcesT out;
  out.revision = w.revision;
  out.state = state;
  out.reason = std::move(reason);
  out.message = std::move(message);
  return out;
}

bool is_template(const wire::WorkspaceT& w) {
  return w.inference && !w.inference->template_.empty();
}
bool by_vllm(const wire::WorkspaceT& w, const catalogue::Preset& preset) {
  return w.inference && (!is_native(preset) || preset.parameters > served_on_cpu_max);
}
const std::string& preset_of(const wire::WorkspaceT& w) {
  static const std::string none;
  return w.tuning ? w.tuning->preset : w.inference ? w.inference->preset : none;
}
Need need_of(const wire::WorkspaceT& w, const catalogue::Preset& preset, bool on_cpu,
             std::int64_t stored_bytes) {
  if (w.tuning) return tuning_need(preset, w.tuning->method, on_cpu);
  const bool is_own = on_cpu || !by_vllm(w, preset);
  return serving_need(preset, w.inference->adapters.size(), on_cpu, is_own ? stored_bytes : 0);
}
std::int64_t gpu_memory_of(const std::string& instance_type) {
  const auto* sku = catalogue::find_sku(instance_type);
  return sku == nullptr || sku->gpus == 0 ? 0 : (sku->memory_gib << 30) / sku->gpus;
}

std::optional<ResourcesT> refusal_of(const wire::WorkspaceT& w) {
  if (!w.problem.empty()) return word(w, ResourcesState::Refused, "InvalidWorkspace", w.problem);
  if (w.count > 1 && w.tuning)
    return word(w, ResourcesState::Refused, "UnsupportedNodeCount",
                "resource.count is " + std::to_string(w.count) +
                    ", and a tuning runs on one node; set it to 1");
  if (!is_template(w) && catalogue::find_preset(preset_of(w)) == nullptr)
    return word(w, ResourcesState::Refused, "UnknownPreset",
                "preset '" + preset_of(w) + "' is not in the catalogue");
  return std::nullopt;
}

ResourcesT assess_node(const wire::WorkspaceT& w, const std::string& name,
                       const wire::NodeT& node) {
  const catalogue::Preset* preset = is_template(w) ? nullptr : catalogue::find_preset(preset_of(w));
  const Need need = preset == nullptr ? Need{} : need_on(w, *preset, node);
  if (const auto way = way_on(w, preset, node, need)) return grant(w, name, node, need, *way);
  return preset == nullptr ? refuse_template(w, name, node) : refuse(w, *preset, name, node, need);
}

ResourcesT assess(const wire::WorkspaceT& w, const runtime::Nodes& nodes,
                  const runtime::GpusHeld* held, const std::vector<std::string>& had) {
  if (auto known = refusal_of(w)) return std::move(*known);
  const catalogue::Preset* preset = is_template(w) ? nullptr : catalogue::find_preset(preset_of(w));
  std::optional<Need> on_cpu, on_gpu;  // of nodes that the weights' size says nothing about
  const auto need = [&](const wire::NodeT& node) -> Need {
    std::optional<Need>& known = node.gpus == 0 ? on_cpu : on_gpu;
    if (preset == nullptr) return {};
    if (w.inference && stored_bytes(node, w) > 0) return need_on(w, *preset, node);
    return known ? *known : known.emplace(need_on(w, *preset, node));
  };
  const Named* best = nullptr;
  // Of GPUs only: what shares a CPU is queued by the scheduler, as it fits.
  std::tuple<bool, bool, bool, std::int64_t> best_rank;
  const Named* late = nullptr;  // the first that is not Ready, that lacks something, that is ill
  const Named* lacking = nullptr;
  const Named* ill = nullptr;
  for (const Named& named : nodes) {
    const auto& [name, node] = named;
    if (!counts(node, w)) continue;
    if (!node.ready) {
      late = late == nullptr ? &named : late;
    } else if (const auto way = way_on(w, preset, node, need(node))) {
      if (way->gpus > 0 && !gpu_trouble(node).empty()) {
        ill = ill == nullptr ? &named : ill;
        continue;
      }
      const std::int64_t free = free_gpus(name, node, held);
      const bool was_had = std::find(had.begin(), had.end(), name + "/" + node.uid) != had.end();
      const std::tuple rank{free >= way->gpus, was_had, preset != nullptr && lie_there(node, w),
                            free};
      if (best != nullptr && rank <= best_rank) continue;
      best = &named;
      best_rank = rank;
    } else {
      lacking = lacking == nullptr ? &named : lacking;
    }
  }
  if (w.count > 1 && (best == nullptr || preset == nullptr))
    if (auto said = spread(w, nodes, held)) return std::move(*said);
  if (best == nullptr && ill != nullptr) {
    ResourcesT out = about(ill->first, word(w, ResourcesState::Waiting, "GPUUnhealthy",
                                            ill_words(ill->first, ill->second)));
    out.drain = true;
    return out;
  }
  const Named* told = best != nullptr ? best : lacking;
  if (told != nullptr) return assess_node(w, told->first, told->second);
  if (late != nullptr)
    return word(w, ResourcesState::Waiting, "NodeNotReady",
                "node " + late->first + " is not Ready");
  if (w.match_labels.empty())
    return word(w, ResourcesState::Waiting, "NodeNotFound", "there is no node");
  return word(w, ResourcesState::Waiting, "NodeNotFound",
              "no node carries the labels of resource.labelSelector" + label_remedy(w));
}

bool may_change(const wire::WorkspaceT& w, const wire::ResourcesT* said, const std::string& name,
                const wire::NodeT* before, const wire::NodeT& after) {
  const bool counted = before != nullptr && counts(*before, w), counts_now = counts(after, w);
  if (!counted && !counts_now) return false;
  if (counted && counts_now && what_counts(*before) == what_counts(after) &&
      is_same_health(*before, after) && is_same_weights(*before, after, w))
    return false;
  if (said == nullptr || said->revision != w.revision || w.count > 1) return true;
  const bool is_ready = counts_now && after.ready;
  if (is_ready && has_weights(after, w, catalogue::find_preset(preset_of(w)))) return true;
  // It does not help; but the word may be about it from now on: the first by name, Ready before
  // late ones.
  if (said->state == ResourcesState::Refused) return name <= said->measured;
  return is_ready || said->measured.empty() || name <= said->measured;
}
}  // namespace kairo::provisioner
