// agents/local/node/schedule.cpp - sums and selectors.
#include "agents/local/node/schedule.h"

#include <algorithm>
#include <set>
#include <sstream>

#include "agents/local/node/pod_plan.h"

namespace kairo::cluster {
namespace {
constexpr const char* gpu = "nvidia.com/gpu";
struct Resource {
  const char* name;
  std::int64_t scale;
};
constexpr Resource resources[] = {{"cpu", 1000}, {"memory", 1}, {gpu, 1}};

std::int64_t request_of(const Json& container, const Resource& resource) {
  std::int64_t out =
      quantity(at(container, {"resources", "requests", resource.name}), resource.scale);
  if (out < 0)
    out = quantity(at(container, {"resources", "limits", resource.name}), resource.scale);
  return std::max<std::int64_t>(out, 0);
}
bool matches(const Json& labels, const Json& expression) {
  const std::string key = text(expression, {"key"}), test = text(expression, {"operator"});
  const bool is_there = labels.is_object() && labels.contains(key);
  const Json& values = at(expression, {"values"});
  const bool is_in =
      is_there && std::find(values.begin(), values.end(), labels[key]) != values.end();
  if (test == "In") return is_in;
  if (test == "NotIn") return !is_in;
  if (test == "Exists") return is_there;
  if (test == "DoesNotExist") return !is_there;
  return false;
}
bool matches_node(const Json& labels, const Json& pod) {
  for (const auto& [key, value] : at(pod, {"spec", "nodeSelector"}).items())
    if (!labels.is_object() || !labels.contains(key) || labels[key] != value) return false;
  const Json& terms =
      at(pod, {"spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution",
               "nodeSelectorTerms"});
  if (!terms.is_array()) return true;
  return std::any_of(terms.begin(), terms.end(), [&](const Json& term) {
    const Json& all = at(term, {"matchExpressions"});
    return std::all_of(all.begin(), all.end(),
                       [&](const Json& expression) { return matches(labels, expression); });
  });
}
}  // namespace

std::map<std::string, std::int64_t> requests_of(const Json& pod) {
  std::map<std::string, std::int64_t> out;
  for (const Resource& resource : resources) {
    std::int64_t sum = 0, first = 0;
    for (const Json& c : at(pod, {"spec", "containers"})) sum += request_of(c, resource);
    for (const Json& c : at(pod, {"spec", "initContainers"}))
      first = std::max(first, request_of(c, resource));
    out[resource.name] = std::max(sum, first);
  }
  return out;
}
bool holds_resources(const Json& pod) {
  const std::string phase = text(pod, {"status", "phase"});
  return !text(pod, {"spec", "nodeName"}).empty() && phase != "Succeeded" && phase != "Failed";
}

std::string why_not(const Json& node, const std::vector<Json>& pods, const Json& pod) {
  const std::string head = "0/1 nodes are available: ";
  if (!matches_node(at(node, {"metadata", "labels"}), pod))
    return head + "1 node(s) didn't match Pod's node affinity/selector.";
  const auto wanted = requests_of(pod);
  std::string lacks;
  std::set<std::string> holders;
  for (const Resource& resource : resources) {
    std::int64_t room = std::max<std::int64_t>(
        quantity(at(node, {"status", "allocatable", resource.name}), resource.scale), 0);
    std::set<std::string> here;
    for (const Json& other : pods) {
      if (!holds_resources(other)) continue;
      const std::int64_t held = requests_of(other)[resource.name];
      room -= held;
      if (held > 0)
        here.insert(text(other, {"metadata", "namespace"}) + "/" +
                    text(other, {"metadata", "name"}));
    }
    const std::int64_t want = wanted.at(resource.name);
    if (want == 0 || want <= room) continue;
    lacks += (lacks.empty() ? "1 Insufficient " : ", 1 Insufficient ") + std::string(resource.name);
    holders.insert(here.begin(), here.end());
  }
  if (lacks.empty()) return "";
  std::string held;
  for (const std::string& holder : holders) held += (held.empty() ? "held by " : ", ") + holder;
  return head + lacks + (held.empty() ? "" : " (" + held + ")") + ".";
}

std::string free_gpus(const Json& node, const std::vector<Json>& pods, const Json& pod) {
  std::set<std::string> taken;
  for (const Json& other : pods) {
    if (!holds_resources(other)) continue;
    std::istringstream list(text(other, {"metadata", "annotations", "kairo.dev/gpus"}));
    for (std::string index; std::getline(list, index, ',');) taken.insert(index);
  }
  std::string out;
  std::int64_t want = requests_of(pod)[gpu];
  const std::int64_t count = quantity(at(node, {"status", "allocatable", gpu}), 1);
  for (std::int64_t i = 0; i < count && want > 0; ++i) {
    if (taken.contains(std::to_string(i))) continue;
    out += (out.empty() ? "" : ",") + std::to_string(i);
    --want;
  }
  return out;
}
}  // namespace kairo::cluster
