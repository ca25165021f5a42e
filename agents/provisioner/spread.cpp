// agents/provisioner/spread.cpp - alike nodes in groups; the group that needs the fewest.
#include "agents/provisioner/spread.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "agents/provisioner/assess.h"
#include "agents/provisioner/estimate.h"
#include "agents/provisioner/gpu_fitness.h"
#include "agents/provisioner/image_volumes.h"
#include "agents/provisioner/machine.h"

namespace kairo::provisioner {
namespace {
using Named = runtime::Nodes::value_type;
using wire::ResourcesState;
using wire::ResourcesT;
constexpr const char* in_use = "GPUsInUse";

struct Shape {
  std::uint32_t gpus = 0;  // that it gives to one stage
  std::int64_t memory_bytes = 0;
  bool operator<(const Shape& other) const {
    return std::tie(gpus, memory_bytes) < std::tie(other.gpus, other.memory_bytes);
  }
};
struct Group {
  Shape shape;
  std::uint32_t need = 0;  // nodes; 0 = its GPUs are too small for any number
  std::vector<const Named*> free, busy, late;
  std::size_t ready() const { return free.size() + busy.size(); }
  std::size_t all() const { return ready() + late.size(); }
  const Named& first() const {
    return free.empty() ? busy.empty() ? *late.front() : *busy.front() : *free.front();
  }
};

std::uint32_t power_of_two_in(std::uint32_t n) {
  std::uint32_t out = n > 0 ? 1 : 0;
  while (out * 2 <= n && out > 0) out *= 2;
  return out;
}
std::vector<Group> groups_of(const wire::WorkspaceT& w, const catalogue::Preset* preset,
                             const runtime::Nodes& nodes, const runtime::GpusHeld* held) {
  std::map<Shape, Group> found;
  for (const Named& named : nodes) {
    const auto& [name, node] = named;
    if (!counts(node, w) || node.local) continue;
    Shape shape{w.inference->template_gpus, 0};
    if (preset == nullptr && node.gpus < shape.gpus) continue;
    if (preset != nullptr) shape = {power_of_two_in(node.gpus), gpu_memory_on(node)};
    if (preset != nullptr && (shape.gpus == 0 || !has_weights(node, w, preset))) continue;
    Group& group = found[shape];
    group.shape = shape;
    const bool is_free = free_gpus(name, node, held) >= std::int64_t{shape.gpus};
    const bool is_usable = node.ready && gpu_trouble(node).empty();
    (!is_usable ? group.late : is_free ? group.free : group.busy).push_back(&named);
  }
  std::vector<Group> out;
  for (auto& [shape, group] : found) {
    group.need = preset == nullptr ? w.count : vllm_nodes(*preset, shape.memory_bytes, shape.gpus);
    out.push_back(std::move(group));
  }
  return out;
}

// How far a group is from a grant.
int distance(const Group& group, std::uint32_t count) {
  if (group.need == 0) return 5;
  if (group.need > count) return 4;
  if (group.all() < group.need) return 3;
  if (group.ready() < group.need) return 2;
  return group.free.size() < group.need ? 1 : 0;
}
ResourcesT grant(const wire::WorkspaceT& w, const catalogue::Preset* preset, Group group,
                 const runtime::GpusHeld* held) {
  std::stable_sort(group.free.begin(), group.free.end(), [&](const Named* a, const Named* b) {
    return free_gpus(a->first, a->second, held) > free_gpus(b->first, b->second, held);
  });
  group.free.resize(group.need);
  std::sort(group.free.begin(), group.free.end(),
            [](const Named* a, const Named* b) { return a->first < b->first; });
  ResourcesT out = word(w, ResourcesState::Ready, "", "");
  for (const Named* named : group.free) {
    const std::string& host = label_of(named->second, "kubernetes.io/hostname");
    out.nodes.push_back(named->first);
    out.places.push_back(named->first + "/" + named->second.uid);
    out.hostnames.push_back(host.empty() ? named->first : host);
  }
  out.gpus = group.shape.gpus;
  out.runtime = preset == nullptr ? "template" : "vllm";
  out.target = group.need;
  out.image_volumes = std::all_of(group.free.begin(), group.free.end(), [](const Named* named) {
    return has_image_volumes(named->second);
  });
  if (preset != nullptr) out.memory_bytes = need_of(w, *preset, false).memory_bytes;
  return out;
}

// "llama-3.3-70b-instruct needs 2 nodes like gpu-1 (1 GPU of 80.0 GiB) for weights of 131.4 GiB"
std::string needs(const catalogue::Preset* preset, const Group& group) {
  const std::string nodes = std::to_string(group.need) + " nodes like " + group.first().first;
  const std::string gpus =
      std::to_string(group.shape.gpus) + (group.shape.gpus == 1 ? " GPU" : " GPUs");
  if (preset == nullptr) return "inference.template needs " + nodes + " with " + gpus + " each";
  return preset->name + " needs " + nodes + " (" + gpus + " of " + gib(group.shape.memory_bytes) +
         ") for weights of " + gib(static_cast<std::int64_t>(preset->weights_gib * 1073741824.0));
}
std::string names_of(const std::vector<const Named*>& nodes) {
  std::string out;
  for (const Named* named : nodes) out += (out.empty() ? "" : ", ") + named->first;
  return out;
}
ResourcesT why_not(const wire::WorkspaceT& w, const catalogue::Preset* preset, const Group& group) {
  const auto waits = [&](const char* reason, const std::string& why) {
    ResourcesT out = word(w, ResourcesState::Waiting, reason, needs(preset, group) + "; " + why);
    out.target = group.need;
    return out;
  };
  const std::string count = std::to_string(w.count);
  switch (distance(group, w.count)) {
    case 1:
      return waits(in_use, "other Workspaces have the GPUs of " + names_of(group.busy));
    case 2:
      return waits("NodeNotReady", names_of(group.late) + " is not Ready");
    case 3:
      return waits("NotEnoughNodes", std::to_string(group.all()) + " of them " +
                                         (group.all() == 1 ? "is" : "are") + " there" +
                                         label_remedy(w));
    case 4:
      return word(w, ResourcesState::Refused, "InsufficientMemory",
                  needs(preset, group) + ", and resource.count is " + count +
                      "; make the Workspace anew with resource.count: " +
                      std::to_string(group.need) + ", or for nodes with larger GPUs");
    default:
      return word(w, ResourcesState::Refused, "InsufficientMemory",
                  "a GPU of node " + group.first().first + " has " + gib(group.shape.memory_bytes) +
                      ", too little for any stage of " + preset->name +
                      "; use nodes with larger GPUs");
  }
}
ResourcesT lacks_weights(const wire::WorkspaceT& w, const std::string& preset,
                         const std::string& node) {
  return word(w, ResourcesState::Refused, "ModelNotFound",
              preset + " is not on node " + node +
                  ": put config.json, tokenizer.json and *.safetensors into its models folder, "
                  "under " +
                  preset);
}
// Local mode is one machine.
std::optional<ResourcesT> refuse_local(const wire::WorkspaceT& w, const catalogue::Preset* preset,
                                       const runtime::Nodes& nodes) {
  for (const auto& [name, node] : nodes) {
    if (!counts(node, w) || !node.local) continue;
    const std::string head =
        "resource.count is " + std::to_string(w.count) + ", and local mode is one machine: ";
    return word(w, ResourcesState::Refused, "UnsupportedNodeCount",
                head + (preset == nullptr ? "set it to 1, or use a cluster"
                                          : assess_node(w, name, node).message));
  }
  return std::nullopt;
}
}  // namespace

std::optional<ResourcesT> spread(const wire::WorkspaceT& w, const runtime::Nodes& nodes,
                                 const runtime::GpusHeld* held) {
  const catalogue::Preset* preset = is_template(w) ? nullptr : catalogue::find_preset(preset_of(w));
  if (auto refused = refuse_local(w, preset, nodes)) return refused;
  const std::vector<Group> groups = groups_of(w, preset, nodes, held);
  const auto best =
      std::min_element(groups.begin(), groups.end(), [&](const auto& a, const auto& b) {
        const int of_a = distance(a, w.count), of_b = distance(b, w.count);
        return std::tie(of_a, a.need) < std::tie(of_b, b.need);
      });
  if (best == groups.end()) return std::nullopt;
  if (distance(*best, w.count) == 0) return grant(w, preset, *best, held);
  return why_not(w, preset, *best);
}

ResourcesT assess_together(const wire::WorkspaceT& w, const Machines& machines,
                           std::uint32_t needed) {
  const auto& [first, node] = *machines.front();
  if (needed == 1) {
    ResourcesT said = assess_node(w, first, node);
    if (said.state == ResourcesState::Ready || w.count == 1) return said;
  }
  const catalogue::Preset* preset = is_template(w) ? nullptr : catalogue::find_preset(preset_of(w));
  Group group;
  group.free = machines;
  group.shape = {power_of_two_in(node.gpus), gpu_memory_on(node)};
  for (const Named* named : machines) {  // what each of them has
    if (preset == nullptr || !has_weights(named->second, w, preset)) {
      ResourcesT said = preset == nullptr ? assess_node(w, named->first, named->second)
                                          : lacks_weights(w, preset->name, named->first);
      if (said.state != ResourcesState::Ready) return said;
    }
    group.shape.gpus = std::min(group.shape.gpus, power_of_two_in(named->second.gpus));
    group.shape.memory_bytes = std::min(group.shape.memory_bytes, gpu_memory_on(named->second));
  }
  if (preset == nullptr) group.shape = {w.inference->template_gpus, 0};
  const std::uint32_t least =
      preset == nullptr ? needed : nodes_with(group.shape.gpus, group.shape.memory_bytes, *preset);
  const bool is_enough = least > 0 && least <= needed;
  group.need = is_enough ? static_cast<std::uint32_t>(machines.size()) : least;
  return is_enough ? grant(w, preset, std::move(group), nullptr) : why_not(w, preset, group);
}

std::uint32_t nodes_with(std::uint32_t gpus, std::int64_t gpu_memory_bytes,
                         const catalogue::Preset& preset) {
  return vllm_nodes(preset, gpu_memory_bytes, power_of_two_in(gpus));
}
std::uint32_t nodes_like(const wire::NodeT& node, const catalogue::Preset& preset) {
  return nodes_with(node.gpus, gpu_memory_on(node), preset);
}

bool waits_for_gpus(const ResourcesT& said) {
  return said.state == ResourcesState::Waiting && said.reason == in_use;
}

runtime::GpusHeld held_by_others(const runtime::GpusHeld& held, const ResourcesT* own) {
  runtime::GpusHeld out = held;
  if (own == nullptr || own->state != ResourcesState::Ready) return out;
  for (const std::string& node : own->nodes)
    if (const auto at = out.find(node); at != out.end())
      at->second -= std::min(at->second, own->gpus);
  return out;
}
}  // namespace kairo::provisioner
