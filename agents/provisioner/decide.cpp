// agents/provisioner/decide.cpp - preset known? engine? weights? room? -> Resources.
#include "agents/provisioner/decide.h"

#include <algorithm>

#include "agents/provisioner/estimate.h"
#include "agents/runtime/decision.h"

namespace kairo::provisioner {
namespace {
using wire::ResourcesState;
using wire::ResourcesT;

// The rest of a node that a tuning leaves to everybody else.
constexpr std::int64_t spare_cpu_milli = 250, serving_cpu_milli = 100;

ResourcesT word(const wire::WorkspaceT& w, ResourcesState state, std::string reason,
                std::string message) {
  ResourcesT out;
  out.revision = w.revision;
  out.state = state;
  out.reason = std::move(reason);
  out.message = std::move(message);
  return out;
}
std::string preset_of(const wire::WorkspaceT& w) {
  return w.tuning ? w.tuning->preset : w.inference ? w.inference->preset : "";
}
bool carries(const wire::NodeT& node, const wire::LabelT& wanted) {
  return std::any_of(node.labels.begin(), node.labels.end(), [&](const auto& label) {
    return label->key == wanted.key && label->value == wanted.value;
  });
}
// Local mode has one machine: labels would only ever say no.
bool matches(const wire::NodeT& node, const wire::WorkspaceT& w) {
  return node.local || std::all_of(w.match_labels.begin(), w.match_labels.end(),
                                   [&](const auto& label) { return carries(node, *label); });
}
std::int64_t room_of(const wire::NodeT& node) {
  return node.gpus > 0 ? node.gpu_memory_bytes : node.memory_bytes;
}
bool has_weights(const wire::NodeT& node, const catalogue::Preset& preset) {
  return std::find(node.models.begin(), node.models.end(), preset.name) != node.models.end();
}

// " instanceType ... is retired ...; use ..." when the user names a machine type that cannot serve.
std::string about_instance_type(const wire::WorkspaceT& w, const catalogue::Preset& preset) {
  const auto* retired = catalogue::find_retired(w.instance_type);
  if (retired == nullptr) return {};
  const Need need = tuning_need(preset, w.tuning ? w.tuning->method : "lora", false);
  std::string out = " instanceType " + retired->name + " (" + std::to_string(retired->gpus) + "x " +
                    retired->gpu + ", compute capability " + retired->compute_capability + ") is " +
                    retired->reason + ", and the CUDA build needs 7.5 or newer; in a cluster use " +
                    retired->successor;
  const auto fits =
      catalogue::skus_that_fit(static_cast<double>(need.memory_bytes) / 1073741824.0, "azure", 3);
  std::string others;
  for (const catalogue::Sku* sku : fits)
    if (sku->name != retired->successor) others += (others.empty() ? "" : ", ") + sku->name;
  return out + (others.empty() ? "." : " or " + others + ".");
}

Need need_of(const wire::WorkspaceT& w, const catalogue::Preset& preset, bool on_cpu) {
  if (w.tuning) return tuning_need(preset, w.tuning->method, on_cpu);
  return serving_need(preset, w.inference->adapters.size(), on_cpu);
}

ResourcesT grant(const wire::WorkspaceT& w, const std::string& name, const wire::NodeT& node,
                 const Need& need) {
  ResourcesT out = word(w, ResourcesState::Ready, "", "");
  out.nodes = {name};
  out.gpus = node.gpus > 0 ? 1 : 0;
  out.local = node.local;
  out.memory_bytes = need.memory_bytes;
  out.memory_limit_bytes =
      std::min<std::int64_t>(2 * need.memory_bytes + (1LL << 30), node.memory_bytes);
  out.cpu_milli =
      w.tuning ? std::max<std::int64_t>(node.cpu_milli - spare_cpu_milli, 500) : serving_cpu_milli;
  return out;
}

// What this machine or these nodes lack, all of it in one message.
ResourcesT refuse(const wire::WorkspaceT& w, const catalogue::Preset& preset,
                  const std::string& name, const wire::NodeT& node, const Need& need) {
  const std::string verb = w.tuning ? "tune (" + w.tuning->method + ")" : "serve";
  const bool fits = need.memory_bytes <= room_of(node);
  const std::string there =
      "node " + name + " has " + gib(node.memory_bytes) + " of memory" +
      (node.gpus > 0 ? ", " + gib(node.gpu_memory_bytes) + " on a GPU" : " and no GPU");
  std::string message = preset.name + " needs about " + gib(need.memory_bytes) + " to " + verb +
                        " (" + need.why + "); " + there + ".";
  std::string reason = "InsufficientMemory";
  if (!is_native(preset.architecture)) {
    reason = "UnsupportedModel";
    message = preset.name + " (" + preset.architecture + ") needs about " + gib(need.memory_bytes) +
              " to " + verb + " (" + need.why +
              ") and an engine for its family: kairo's own has LlamaForCausalLM so far; " + there +
              ". Choose a Llama preset, e.g. smollm2-135m-instruct.";
  } else if (fits) {
    reason = "ModelNotFound";
    message +=
        " Its weights are not on this node: put config.json, tokenizer.json and "
        "*.safetensors into the models folder, under " +
        preset.name + ".";
  }
  return word(w, ResourcesState::Refused, reason, message + about_instance_type(w, preset));
}

ResourcesT assess(const wire::RecordT& record, const runtime::Nodes& nodes) {
  const wire::WorkspaceT& w = *record.workspace;
  if (!w.problem.empty()) return word(w, ResourcesState::Refused, "InvalidWorkspace", w.problem);
  if (w.count > 1)
    return word(w, ResourcesState::Refused, "UnsupportedNodeCount",
                "resource.count is " + std::to_string(w.count) +
                    ", and one model runs on one node so far; set it to 1");
  const catalogue::Preset* preset = catalogue::find_preset(preset_of(w));
  if (preset == nullptr)
    return word(w, ResourcesState::Refused, "UnknownPreset",
                "preset '" + preset_of(w) + "' is not in the catalogue");
  std::string matching, not_ready;
  const wire::NodeT* candidate = nullptr;
  for (const auto& [name, node] : nodes) {
    if (!node.exists || !matches(node, w)) continue;
    if (!node.ready) {
      not_ready += (not_ready.empty() ? "" : ", ") + name;
      continue;
    }
    const Need need = need_of(w, *preset, node.gpus == 0);
    if (is_native(preset->architecture) && has_weights(node, *preset) &&
        need.memory_bytes <= room_of(node))
      return grant(w, name, node, need);
    if (candidate == nullptr) {
      candidate = &node;
      matching = name;
    }
  }
  if (candidate != nullptr)
    return refuse(w, *preset, matching, *candidate, need_of(w, *preset, candidate->gpus == 0));
  if (!not_ready.empty())
    return word(w, ResourcesState::Waiting, "NodeNotReady", "node " + not_ready + " is not Ready");
  return word(w, ResourcesState::Waiting, "NodeNotFound",
              nodes.empty() ? "no node has reported yet"
                            : "no node carries the labels of resource.labelSelector");
}
// A grant stands while its nodes are there: one that is late, or that holds other models by now,
// ends nothing that runs there.
bool is_granted(const wire::RecordT& record, const runtime::Nodes& nodes) {
  const ResourcesT* granted = record.resources.get();
  if (granted == nullptr || granted->state != ResourcesState::Ready ||
      granted->revision != record.workspace->revision)
    return false;
  return std::all_of(granted->nodes.begin(), granted->nodes.end(), [&](const std::string& name) {
    const auto node = nodes.find(name);
    return node != nodes.end() && node->second.exists;
  });
}
}  // namespace

runtime::Decision decide(const wire::RecordT& record, const runtime::View& view) {
  runtime::Decision d;
  if (runtime::is_leaving(record)) {
    runtime::publish(d, record, word(*record.workspace, ResourcesState::Released, "", ""));
    return d;
  }
  // Nothing is granted before our finalizer is on: what is started must be cleaned up.
  if (!runtime::is_live(record) || !record.workspace->finalized) return d;
  if (is_granted(record, view.nodes)) return d;
  runtime::publish(d, record, assess(record, view.nodes));
  return d;
}
}  // namespace kairo::provisioner
