// gpu/formats/json.h - JSON of foreign files with a bound on its nesting: the library's values are
// copied, compared and written by recursion, so a deep document would overflow the stack.
#pragma once
#include <nlohmann/json.hpp>
#include <string_view>

#include "schemas/base/result.h"

namespace kairo::gpu {
constexpr int json_depth_max = 64;
// Whether brackets outside of strings nest deeper than so many levels.
bool nests_deeper(std::string_view json, int depth_max);
// J: nlohmann::json, or ordered_json, which keeps the members' order. invalid: "is not JSON", or
// too deep; the caller names the file.
template <class J = nlohmann::json>
Result<J> parse_json(std::string_view text, int depth_max = json_depth_max) {
  if (nests_deeper(text, depth_max))
    return Error{Code::invalid, "is nested deeper than " + std::to_string(depth_max)};
  if (text.find('\0') != text.npos) return Error{Code::invalid, "is not JSON: it holds a NUL byte"};
  J out = J::parse(text, nullptr, false);
  if (out.is_discarded()) return Error{Code::invalid, "is not JSON"};
  return out;
}
// As above, and it must be an object: "is not a JSON object".
template <class J = nlohmann::json>
Result<J> parse_json_object(std::string_view text, int depth_max = json_depth_max) {
  J out = TRY(parse_json<J>(text, depth_max));
  if (!out.is_object()) return Error{Code::invalid, "is not a JSON object"};
  return out;
}
}  // namespace kairo::gpu
