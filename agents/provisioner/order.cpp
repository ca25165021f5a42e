// agents/provisioner/order.cpp - a NodeClaim, or a NodePool of as many replicas as nodes.
#include "agents/provisioner/order.h"

#include <nlohmann/json.hpp>

#include "agents/provisioner/buyable.h"

namespace kairo::provisioner {
namespace {
using Ordered = nlohmann::ordered_json;
constexpr const char* machine_key = "node.kubernetes.io/instance-type";

std::string annotation(const wire::WorkspaceT& w, const std::string& key) {
  for (const auto& a : w.annotations)
    if (a->key == key) return a->value;
  return {};
}
Ordered in(const std::string& key, const std::string& value) {
  return {{"key", key}, {"operator", "In"}, {"values", Ordered::array({value})}};
}
Ordered node_class(const wire::WorkspaceT& w, const Terms& terms) {
  const std::string named = annotation(w, "kaito.sh/node-class-name");
  return {{"group", terms.node_class.group},
          {"kind", terms.node_class.kind},
          {"name", named.empty() ? terms.node_class.name : named}};
}
Ordered taints() {
  return Ordered::array({{{"key", "sku"}, {"value", "gpu"}, {"effect", "NoSchedule"}}});
}
bool is_reserved(const std::string& key) {
  return key.starts_with("kaito.sh/") || key.starts_with("karpenter.kaito.sh/") ||
         key.starts_with("karpenter.sh/") || key == machine_key ||
         key == "kubernetes.io/hostname" || key == "kubernetes.io/os";
}
// What the node gets as it registers. KAITO's plug-ins and the node agent's DaemonSet choose nodes
// by the first; a node that comes without it is labelled (LabelNode).
void add_node_labels(Ordered& labels, const wire::WorkspaceT& w) {
  labels["accelerator"] = "nvidia";
  for (const auto& label : w.match_labels)
    if (!is_reserved(label->key)) labels[label->key] = label->value;
}
Ordered notes_of(const wire::CommandT& command) {
  return {{"karpenter.sh/do-not-disrupt", "true"}, {"kairo.dev/workspace-uid", command.uid}};
}
Ordered requirements(const wire::WorkspaceT& w, const Terms& terms) {
  Ordered out = Ordered::array({in(machine_key, w.instance_type), in("kubernetes.io/os", "linux")});
  if (cloud_of(terms) == "azure" && terms.mode == Mode::node_claims)
    out.push_back(in("karpenter.azure.com/sku-name", w.instance_type));
  if (cloud_of(terms) == "aws")
    out.push_back({{"key", "karpenter.k8s.aws/instance-gpu-count"},
                   {"operator", "Gt"},
                   {"values", Ordered::array({"0"})}});
  return out;
}

Ordered node_claim(const wire::CommandT& command, const wire::BuyNodeT& order, const Terms& terms) {
  const wire::WorkspaceT& w = *order.workspace;
  Ordered labels = {{"karpenter.sh/nodepool", "kaito"},
                    {"kaito.sh/workspace", command.name},
                    {"kaito.sh/workspacenamespace", command.ns}};
  add_node_labels(labels, w);
  Ordered notes = notes_of(command);
  const std::string family = annotation(w, "kaito.sh/node-image-family");
  notes["kaito.sh/node-image-family"] = family.empty() ? "ubuntu" : family;
  Ordered wanted = requirements(w, terms);
  wanted.insert(wanted.begin(), in("karpenter.sh/nodepool", "kaito"));
  return {{"apiVersion", "karpenter.sh/v1"},
          {"kind", "NodeClaim"},
          {"metadata", {{"name", order.claim}, {"labels", labels}, {"annotations", notes}}},
          {"spec",
           {{"nodeClassRef", node_class(w, terms)},
            {"expireAfter", "Never"},
            {"taints", taints()},
            {"requirements", wanted},
            {"resources", {{"requests", {{"storage", std::to_string(disk_gib(w)) + "Gi"}}}}}}}};
}

Ordered node_pool(const wire::CommandT& command, const wire::BuyNodeT& order, const Terms& terms) {
  const wire::WorkspaceT& w = *order.workspace;
  const Ordered ours = {{"karpenter.kaito.sh/managed-by", "kairo"},
                        {"karpenter.kaito.sh/workspace-name", command.name},
                        {"karpenter.kaito.sh/workspace-namespace", command.ns}};
  Ordered labels = ours;
  add_node_labels(labels, w);
  // A training is not disturbed at all; a server may be replaced when its node's image is old.
  Ordered budgets = Ordered::array({{{"nodes", "0"}}});
  if (w.inference)
    budgets =
        Ordered::array({{{"nodes", "1"}, {"reasons", Ordered::array({"Drifted"})}},
                        {{"nodes", "0"}, {"reasons", Ordered::array({"Empty", "Underutilized"})}}});
  Ordered notes = {{"kairo.dev/workspace-uid", command.uid}};
  if (w.tuning) notes = notes_of(command);
  const Ordered spec = {{"nodeClassRef", node_class(w, terms)},
                        {"expireAfter", "Never"},
                        {"taints", taints()},
                        {"requirements", requirements(w, terms)}};
  return {{"apiVersion", "karpenter.sh/v1"},
          {"kind", "NodePool"},
          {"metadata",
           {{"name", order.claim},
            {"labels", ours},
            {"annotations", {{"kairo.dev/workspace-uid", command.uid}}}}},
          {"spec",
           {{"replicas", std::max(order.nodes, 1U)},
            {"disruption",
             {{"consolidateAfter", "0s"},
              {"consolidationPolicy", "WhenEmptyOrUnderutilized"},
              {"budgets", budgets}}},
            {"template",
             {{"metadata", {{"labels", labels}, {"annotations", notes}}}, {"spec", spec}}}}}};
}
}  // namespace

cluster::Apply plan_order(const wire::CommandT& command, const Terms& terms) {
  const wire::BuyNodeT& order = *command.body.AsBuyNode();
  const Ordered object = terms.mode == Mode::karpenter ? node_pool(command, order, terms)
                                                       : node_claim(command, order, terms);
  return {{asked_kind(terms), "", order.claim}, object.dump(), "kairo-provisioner", ""};
}

std::vector<Marking> markings(const std::string& workspace) {
  const std::string pool_label = "karpenter.kaito.sh/workspace-name=" + workspace;
  const std::string pool_ns = "karpenter.kaito.sh/workspace-namespace";
  return {{cluster::node_pools, pool_label, pool_ns},
          {cluster::node_claims, pool_label, pool_ns},
          {cluster::node_claims, "kaito.sh/workspace=" + workspace, "kaito.sh/workspacenamespace"}};
}
}  // namespace kairo::provisioner
