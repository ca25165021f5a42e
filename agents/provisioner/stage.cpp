// agents/provisioner/stage.cpp - the first step that is not done yet, with its words.
#include "agents/provisioner/stage.h"

#include <algorithm>

#include "agents/provisioner/claims.h"
#include "agents/provisioner/gpu_fitness.h"

namespace kairo::provisioner {
namespace {
constexpr const char* not_enough_claims = "Ready NodeClaims are not enough: ";
constexpr const char* not_enough_nodes = "Not enough Nodes are ready: ";

const wire::ConditionT* condition_of(const wire::NodeClaimT& claim, const char* type) {
  for (const auto& condition : claim.conditions)
    if (condition->type == type) return condition.get();
  return nullptr;
}
bool is_true(const wire::NodeClaimT& claim, const char* type) {
  const auto* condition = condition_of(claim, type);
  return condition != nullptr && condition->value == "True";
}
// KAITO's rule: Ready says True; or it says nothing, and there is a node.
bool is_ready(const wire::NodeClaimT& claim) {
  const auto* ready = condition_of(claim, "Ready");
  return ready == nullptr ? !claim.node.empty() : ready->value == "True";
}
// Karpenter says Unknown of a step that is on its way, and of a launch that has failed.
bool is_refusal(const wire::ConditionT& condition) {
  return condition.value == "False" ||
         (condition.type == "Launched" && condition.reason != "AwaitingReconciliation");
}
// The provider's own words: of the first step that has any, a real error before a mere wait.
const wire::ConditionT* words_of(const wire::NodeClaimT& claim) {
  const wire::ConditionT* waits = nullptr;
  for (const char* type : {"Launched", "Registered", "Initialized"}) {
    const auto* condition = condition_of(claim, type);
    if (condition == nullptr || condition->value == "True" || condition->message.empty()) continue;
    if (condition->reason != "AwaitingReconciliation") return condition;
    waits = waits == nullptr ? condition : waits;
  }
  return waits;
}
std::string node_class_of(const Terms& terms) {
  const NodeClass& c = terms.node_class;
  return c.group + "/" + c.kind + "/" + c.name;
}

Stage of_claim(const wire::NodeClaimT& claim, const Terms& terms) {
  Stage out;
  const std::string named = "NodeClaim " + claim.name;
  struct Step {
    const char* type;
    const char* name;
    std::string waits, look;
  };
  const Step steps[] = {
      {"Launched", "launched", " is not launched yet",
       claim.conditions.empty()
           ? "nobody has said a word about it: is the node provisioner running, and is " +
                 node_class_of(terms) + " a node class of its own?"
           : "kubectl describe nodeclaim " + claim.name + " has the provider's events"},
      {"Registered", "registered", " is launched, and its node has not registered yet",
       "a machine runs and does not join the cluster: its own log says why (network, bootstrap)"},
      {"Initialized", "initialized", " has a node that is not initialized yet",
       "kubectl describe nodeclaim " + claim.name + " says what it waits for"},
  };
  const Step* step = &steps[2];
  for (const Step& candidate : steps)
    if (!is_true(claim, candidate.type)) {
      step = &candidate;
      break;
    }
  const auto* words = words_of(claim);
  // A wait has one reason, KAITO's, whatever it is for: a step that is over is no news for tools.
  const bool has_reason = words != nullptr && is_refusal(*words) && !words->reason.empty();
  out.name = step->name;
  out.look = step->look;
  out.claim.reason = has_reason ? words->reason : "NodeClaimNotReady";
  out.claim.message =
      words != nullptr ? named + ": " + words->message : not_enough_claims + named + step->waits;
  out.node = {"NodeNotReady", not_enough_nodes + named + step->waits};
  return out;
}
}  // namespace

bool has_label(const wire::NodeT& node, const char* key, const std::string& value) {
  return std::any_of(node.labels.begin(), node.labels.end(), [&](const auto& label) {
    return label->key == key && (value.empty() || label->value == value);
  });
}

Told nodes_wait(const std::string& why) {
  return {"NodeNotReady", not_enough_nodes + why};
}
int rank_of(const Stage& stage) {
  static const std::vector<std::string> order{"lost",       "asked",       "pool", "launched",
                                              "registered", "initialized", "node", "ill", "gpu",
                                              "label",      "agent",       "room", "usable"};
  return static_cast<int>(std::find(order.begin(), order.end(), stage.name) - order.begin());
}

Stage stage_of_node(const runtime::Nodes::value_type& machine, const wire::WorkspaceT& w,
                    std::uint32_t needed) {
  const auto& [name, node] = machine;
  Stage out;
  out.machine = &machine;
  if (!node.ready) {
    out.name = "node";
    out.look = "kubectl describe node " + name + " says why";
    out.node = {"NodeNotReady", not_enough_nodes + ("node " + name + " is not Ready")};
    return out;
  }
  if (node.gpus == 0) {
    out.name = "gpu";
    out.look = "is NVIDIA's device plugin or GPU operator installed, and does it tolerate sku=gpu?";
    out.node = {"NodePluginsNotReady",
                "waiting all node plugins to be ready: node " + name + " offers no nvidia.com/gpu"};
    return out;
  }
  if (!gpu_trouble(node).empty()) {
    out.name = "ill";
    out.node = {"GPUUnhealthy", ill_words(name, node)};
    return out;
  }
  if (!has_label(node, "accelerator", "nvidia")) {
    out.name = "label";
    out.node = {"NodePluginsNotReady", "waiting all node plugins to be ready: node " + name +
                                           " has no label accelerator=nvidia"};
    return out;
  }
  const wire::ResourcesT room = assess_together(w, {&machine}, needed);
  if (room.state == wire::ResourcesState::Ready) {
    out.name = "usable";
    return out;
  }
  const bool is_bare = room.reason == "ModelNotFound" && node.models.empty();
  out.name = is_bare ? "agent" : "room";
  out.look = is_bare ? "does a pod of the DaemonSet kairo-node run there?" : "";
  out.node = is_bare ? Told{"NodeAgentNotReady",
                            not_enough_nodes + ("kairo's node agent on node " + name +
                                                " has not said yet that the model is there")}
                     : Told{room.reason, room.message};
  return out;
}

Stage stage_of(const wire::NodeClaimT& claim, const wire::WorkspaceT& w,
               const runtime::Nodes& nodes, const Terms& terms, std::uint32_t needed) {
  if (!is_ready(claim)) return of_claim(claim, terms);
  const auto machine = nodes.find(claim.node);
  if (machine != nodes.end() && machine->second.exists) return stage_of_node(*machine, w, needed);
  Stage out;
  out.name = "node";
  out.look = "kubectl get node " + claim.node;
  out.node = {"NodeNotReady", not_enough_nodes + ("node " + claim.node + " is not there yet")};
  return out;
}

bool is_given(const wire::NodeT& node, const wire::RecordT& record) {
  return node.exists && has_label(node, "kaito.sh/workspace", record.name) &&
         has_label(node, "kaito.sh/workspacenamespace", record.ns) &&
         !has_label(node, "karpenter.sh/nodepool", "");
}
Machines given_nodes(const wire::RecordT& record, const runtime::Nodes& nodes) {
  Machines out;
  for (const auto& machine : nodes)
    if (machine.second.ready && is_given(machine.second, record) &&
        claim_of_node(record, machine.first) == nullptr)
      out.push_back(&machine);
  return out;
}
}  // namespace kairo::provisioner
