// agents/cluster/json.h - JSON as Kubernetes writes it: bounded parsing, lookups. Private to
// cluster/.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "agents/cluster/cluster.h"

namespace kairo::cluster {
using Json = nlohmann::json;                       // keys sorted: the same object is the same text
constexpr std::size_t object_bytes_max = 3 << 20;  // the API server's request limit
constexpr int object_depth_max = 64;               // our recursions rely on it

// A JSON object. invalid: too large, too deep, not JSON, not an object. `what` names it in errors.
Result<Json> parse_object(std::string_view text, const std::string& what);
// The value at object[keys...], or null when any step is missing.
const Json& at(const Json& object, std::initializer_list<const char*> keys);
const Json& at(Json&& object, std::initializer_list<const char*> keys) = delete;  // would dangle
// Its text, or "" when it is missing or not a string.
std::string text(const Json& object, std::initializer_list<const char*> keys);
// Its number, or `otherwise` when it is missing or not an integer.
std::int64_t integer(const Json& object, std::initializer_list<const char*> keys,
                     std::int64_t otherwise = 0);
bool flag(const Json& object, std::initializer_list<const char*> keys);  // true only when it is
// "jobs.batch", "pods": how Kubernetes' messages name a resource; "Job.batch" its kind.
std::string resource_name(const Kind& kind);
std::string kind_name(const Kind& kind);
std::string api_version(const Kind& kind);  // "batch/v1", "v1"
}  // namespace kairo::cluster
