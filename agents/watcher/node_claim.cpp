// agents/watcher/node_claim.cpp - labels say whose it is, four conditions how far it is.
#include "agents/watcher/node_claim.h"

#include <nlohmann/json.hpp>
#include <set>
#include <string>

namespace kairo::watcher {
namespace {
constexpr std::size_t provider_words_max = 1024;  // of a condition that goes into ours

std::string text_at(const nlohmann::json& object, const char* path) {
  const nlohmann::json::json_pointer at(path);
  return object.contains(at) && object[at].is_string() ? object[at].get<std::string>() : "";
}
}  // namespace

wire::NodeClaimT node_claim(const nlohmann::json& object, wire::FactT& whose) {
  whose.uid = text_at(object, "/metadata/annotations/kairo.dev~1workspace-uid");
  whose.ns = text_at(object, "/metadata/labels/kaito.sh~1workspacenamespace");
  whose.name = text_at(object, "/metadata/labels/kaito.sh~1workspace");
  if (whose.name.empty()) {  // of a NodePool
    whose.ns = text_at(object, "/metadata/labels/karpenter.kaito.sh~1workspace-namespace");
    whose.name = text_at(object, "/metadata/labels/karpenter.kaito.sh~1workspace-name");
  }
  if (whose.ns.empty()) whose.name.clear();
  wire::NodeClaimT out;
  out.kind = text_at(object, "/kind");
  out.name = text_at(object, "/metadata/name");
  out.uid = text_at(object, "/metadata/uid");
  out.deleting = !text_at(object, "/metadata/deletionTimestamp").empty();
  out.node = text_at(object, "/status/nodeName");
  static const nlohmann::json::json_pointer replicas("/spec/replicas");
  out.sized = object.contains(replicas) && object[replicas].is_number_unsigned();
  if (out.sized) out.replicas = object[replicas].get<std::uint32_t>();
  static const std::set<std::string> steps{"Launched", "Registered", "Initialized", "Ready"};
  static const nlohmann::json::json_pointer conditions("/status/conditions");
  if (!object.contains(conditions)) return out;
  for (const auto& c : object[conditions]) {
    if (!c.is_object() || !steps.contains(text_at(c, "/type"))) continue;
    auto condition = std::make_unique<wire::ConditionT>();
    condition->type = text_at(c, "/type");
    condition->value = text_at(c, "/status");
    condition->reason = text_at(c, "/reason");
    condition->message = text_at(c, "/message").substr(0, provider_words_max);
    out.conditions.push_back(std::move(condition));
  }
  return out;
}
}  // namespace kairo::watcher
