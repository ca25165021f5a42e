// agents/cluster/json.cpp - nlohmann-json, with bounds.
#include "agents/cluster/json.h"

#include <algorithm>

namespace kairo::cluster {
Result<Json> parse_object(std::string_view text, const std::string& what) {
  if (text.size() > object_bytes_max)
    return Error{Code::invalid, what + ": Request entity too large: limit is " +
                                    std::to_string(object_bytes_max) + " bytes"};
  int deepest = 0;
  const auto watch_depth = [&](int depth, Json::parse_event_t, Json&) {
    deepest = std::max(deepest, depth);
    return true;
  };
  Json json = Json::parse(text, watch_depth, false);
  if (deepest > object_depth_max)
    return Error{Code::invalid, what + ": nested deeper than " + std::to_string(object_depth_max)};
  if (!json.is_object())
    return Error{Code::invalid, what + ": the body is not a JSON object in UTF-8"};
  return json;
}

const Json& at(const Json& object, std::initializer_list<const char*> keys) {
  static const Json null;  // immutable
  const Json* here = &object;
  for (const char* key : keys) {
    if (!here->is_object()) return null;
    const auto found = here->find(key);
    if (found == here->end()) return null;
    here = &*found;
  }
  return *here;
}
std::string text(const Json& object, std::initializer_list<const char*> keys) {
  const Json& value = at(object, keys);
  return value.is_string() ? value.get<std::string>() : "";
}
std::int64_t integer(const Json& object, std::initializer_list<const char*> keys,
                     std::int64_t otherwise) {
  const Json& value = at(object, keys);
  return value.is_number_integer() ? value.get<std::int64_t>() : otherwise;
}

bool flag(const Json& object, std::initializer_list<const char*> keys) {
  const Json& value = at(object, keys);
  return value.is_boolean() && value.get<bool>();
}

std::string resource_name(const Kind& kind) {
  return kind.group.empty() ? kind.plural : kind.plural + "." + kind.group;
}
std::string kind_name(const Kind& kind) {
  return kind.group.empty() ? kind.kind : kind.kind + "." + kind.group;
}
std::string api_version(const Kind& kind) {
  return kind.group.empty() ? kind.version : kind.group + "/" + kind.version;
}
}  // namespace kairo::cluster
