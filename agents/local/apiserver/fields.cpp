// agents/local/apiserver/fields.cpp - field trees: one recursion per question.
#include "agents/local/apiserver/fields.h"

#include <set>

namespace kairo::cluster::fields {
namespace {
enum class ListKind : std::uint8_t { atomic, set, keyed };

ListKind list_kind(const std::string& name, Schema schema) {
  if (name == "finalizers") return ListKind::set;
  if (name == "conditions" || name == "ownerReferences") return ListKind::keyed;
  if (schema == Schema::custom) return ListKind::atomic;
  for (const char* keyed : {"containers", "initContainers", "volumes", "volumeMounts", "env",
                            "ports", "imagePullSecrets"})
    if (name == keyed) return ListKind::keyed;
  return ListKind::atomic;
}

// "" when the element lacks its key.
std::string element_key(const std::string& name, const Json& element) {
  if (name == "finalizers") return element.is_string() ? "v:" + element.dump() : "";
  const char* field = "name";
  if (name == "conditions") field = "type";
  if (name == "ownerReferences") field = "uid";
  if (name == "volumeMounts") field = "mountPath";
  if (name == "ports") field = element.contains("containerPort") ? "containerPort" : "port";
  if (!element.is_object() || !element.contains(field)) return "";
  Json key = {{field, element[field]}};
  if (name == "ports") key["protocol"] = element.value("protocol", "TCP");
  return "k:" + key.dump();
}
bool is_keyed(const Json& value, Schema schema, const std::string& name) {
  return value.is_array() && list_kind(name, schema) != ListKind::atomic;
}
// The member of `value` (a map or a keyed list named `name`) that a tree's key names; else null.
Json* member(Json& value, const std::string& key, const std::string& name) {
  if (key.starts_with("f:")) {
    if (!value.is_object()) return nullptr;
    const auto found = value.find(key.substr(2));
    return found == value.end() ? nullptr : &*found;
  }
  if (value.is_array())
    for (Json& element : value)
      if (element_key(name, element) == key) return &element;
  return nullptr;
}
const Json* member(const Json& value, const std::string& key, const std::string& name) {
  return member(const_cast<Json&>(value), key, name);
}
void erase_member(Json& value, const std::string& key, const std::string& name) {
  if (key.starts_with("f:")) {
    value.erase(key.substr(2));
    return;
  }
  for (std::size_t i = 0; i < value.size(); ++i)
    if (element_key(name, value[i]) == key) {
      value.erase(i);
      return;
    }
}
std::string name_of(const std::string& key) {
  return key.starts_with("f:") ? key.substr(2) : "";
}
}  // namespace

Status check_keys(const Json& value, Schema schema, const std::string& path) {
  const std::string name = path.substr(path.rfind('.') + 1);
  if (value.is_object())
    for (const auto& [key, sub] : value.items()) TRY(check_keys(sub, schema, path + "." + key));
  if (!value.is_array()) return ok();
  std::set<std::string> seen;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const std::string here = path + "[" + std::to_string(i) + "]";
    TRY(check_keys(value[i], schema, here));
    if (list_kind(name, schema) == ListKind::atomic) continue;
    const std::string key = element_key(name, value[i]);
    if (key.empty())
      return Error{Code::invalid, here + ": the element omits the key that this list is merged by"};
    if (!seen.insert(key).second)
      return Error{Code::invalid, here + ": Duplicate value: " + key.substr(2)};
  }
  return ok();
}

Json of(const Json& value, Schema schema, const std::string& name) {
  Json out = Json::object();
  if (value.is_object())
    for (const auto& [key, sub] : value.items()) out["f:" + key] = of(sub, schema, key);
  if (is_keyed(value, schema, name))
    for (const Json& element : value) out[element_key(name, element)] = of(element, schema);
  return out;
}

void merge(Json& live, const Json& config, Schema schema, const std::string& name) {
  if (live.is_object() && config.is_object()) {
    for (const auto& [key, sub] : config.items()) {
      const auto found = live.find(key);
      if (found == live.end())
        live[key] = sub;
      else
        merge(*found, sub, schema, key);
    }
  } else if (live.is_array() && is_keyed(config, schema, name)) {
    for (const Json& element : config) {
      Json* found = member(live, element_key(name, element), name);
      if (found == nullptr)
        live.push_back(element);
      else
        merge(*found, element, schema);
    }
  } else {
    live = config;
  }
}

namespace {
void remove_in(Json& live, const Json& was, const Json* now, const std::vector<const Json*>& others,
               Schema schema, const std::string& name) {
  for (const auto& [key, was_sub] : was.items()) {
    Json* child = member(live, key, name);
    if (child == nullptr) continue;
    const Json* now_sub = now != nullptr && now->contains(key) ? &(*now)[key] : nullptr;
    std::vector<const Json*> other_subs;
    for (const Json* other : others)
      if (other->contains(key)) other_subs.push_back(&(*other)[key]);
    if (now_sub == nullptr && other_subs.empty()) {
      erase_member(live, key, name);
      continue;
    }
    if (was_sub.empty()) continue;
    remove_in(*child, was_sub, now_sub, other_subs, schema, name_of(key));
    const bool is_wanted_empty = now_sub != nullptr && now_sub->empty();
    if (child->empty() && !is_wanted_empty) erase_member(live, key, name);
  }
}
void take_in(Json& theirs, const Json& ours, const Json& live, const Json& config,
             const std::string& path, const std::string& name, std::vector<std::string>& out) {
  std::vector<std::string> lost;
  for (auto& [key, their_sub] : theirs.items()) {
    if (!ours.contains(key)) continue;
    const Json* live_value = member(live, key, name);
    const Json* config_value = member(config, key, name);
    if (live_value == nullptr || config_value == nullptr) continue;
    const Json& our_sub = ours[key];
    const std::string here = path + "." + key.substr(2);
    if (!their_sub.empty() && !our_sub.empty()) {
      take_in(their_sub, our_sub, *live_value, *config_value, here, name_of(key), out);
      if (their_sub.empty()) lost.push_back(key);
      continue;
    }
    const bool is_merge = config_value->empty() && live_value->type() == config_value->type();
    if (*live_value == *config_value || is_merge) continue;
    out.push_back(here);
    lost.push_back(key);
  }
  for (const std::string& key : lost) theirs.erase(key);
}
}  // namespace

void remove_dropped(Json& live, const Json& was, const Json& now,
                    const std::vector<const Json*>& others, Schema schema) {
  remove_in(live, was, &now, others, schema, "");
}
std::vector<std::string> take_conflicts(Json& theirs, const Json& ours, const Json& live,
                                        const Json& config, Schema) {
  std::vector<std::string> out;
  take_in(theirs, ours, live, config, "", "", out);
  return out;
}

Json changed(const Json& before, const Json& after, Schema schema, const std::string& name) {
  if (before == after) return nullptr;
  const bool maps = before.is_object() && after.is_object();
  const bool lists = before.is_array() && is_keyed(after, schema, name);
  if (!maps && !lists) return of(after, schema, name);
  Json out = Json::object();
  const auto compare = [&](const std::string& key, const Json& value) {
    const Json* old = member(before, key, name);
    Json sub = old == nullptr ? of(value, schema, name_of(key))
                              : changed(*old, value, schema, name_of(key));
    if (!sub.is_null()) out[key] = std::move(sub);
  };
  if (maps)
    for (const auto& [key, value] : after.items()) compare("f:" + key, value);
  else
    for (const Json& element : after) compare(element_key(name, element), element);
  return out.empty() ? Json() : out;
}

void add(Json& tree, const Json& more) {
  for (const auto& [key, sub] : more.items()) {
    if (!tree.contains(key))
      tree[key] = sub;
    else
      add(tree[key], sub);
  }
}
void subtract(Json& tree, const Json& less) {
  for (const auto& [key, sub] : less.items()) {
    if (!tree.contains(key)) continue;
    Json& mine = tree[key];
    if (!mine.empty() && !sub.empty()) {
      subtract(mine, sub);
      if (!mine.empty()) continue;
    }
    tree.erase(key);
  }
}
void prune(Json& tree, const Json& object, Schema schema, const std::string& name) {
  std::vector<std::string> lost;
  for (auto& [key, sub] : tree.items()) {
    const Json* value = member(object, key, name);
    if (value == nullptr) lost.push_back(key);
    if (value == nullptr || sub.empty()) continue;
    prune(sub, *value, schema, name_of(key));
    if (sub.empty()) lost.push_back(key);
  }
  for (const std::string& key : lost) tree.erase(key);
}
}  // namespace kairo::cluster::fields
