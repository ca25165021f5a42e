// agents/local/apiserver/field_types.cpp
#include "agents/local/apiserver/field_types.h"

#include <algorithm>
#include <limits>

#include "schemas/base/base64.h"

namespace kairo::cluster {
namespace {
bool is_required(const Json& rule) {
  if (rule.is_string()) return rule.get<std::string>().starts_with("!");
  return rule.is_object() && rule.contains("!");
}
std::string below(const std::string& path, const std::string& key) {
  return path.empty() ? key : path + "." + key;
}
const char* type_of(const Json& value) {
  if (value.is_number_integer()) return "integer";
  if (value.is_number()) return "number";
  if (value.is_object()) return "object";
  return value.type_name();
}
// What a person who wrote YAML has to change.
std::string remedy(const std::string& want, const Json& value) {
  const std::string shown = value.dump().substr(0, 60);
  if (want == "string" && value.is_structured())
    return " (to make text of the lines put a | behind the colon)";
  if (want == "string") return " (it is " + shown + "; quote it as it is written)";
  if (want == "array" && !value.is_structured())
    return " (it is " + shown + "; make it a list: [" + shown + "])";
  return value.is_string() ? " (it is " + shown + "; leave out the quotes)" : "";
}
Status wrong_type(const std::string& path, const std::string& want, const Json& value) {
  const std::string got = type_of(value);
  return Error{Code::invalid, path + ": Invalid value: \"" + got + "\": " + path +
                                  " in body must be of type " + want + ": \"" + got + "\"" +
                                  remedy(want, value)};
}
// Strict, as Go's encoding/base64: a plain password is rarely base64 by chance.
bool is_base64(std::string text) {
  text.erase(
      std::remove_if(text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r'; }),
      text.end());
  const auto bytes = base64_decode(text);
  return bytes.ok() && base64_encode(bytes.value()) == text;
}
Status check_leaf(const Json& value, const std::string& rule, const std::string& path) {
  if (rule == "int-or-string" || rule == "quantity") {
    const bool fits =
        value.is_string() || value.is_number_integer() || (rule == "quantity" && value.is_number());
    return fits ? ok() : wrong_type(path, "string", value);
  }
  if (rule == "base64") {
    if (!value.is_string()) return wrong_type(path, "string", value);
    if (is_base64(value.get<std::string>())) return ok();
    return Error{Code::invalid,
                 path + ": Invalid value: illegal base64 data (plain text belongs into " +
                     (path.starts_with("binaryData") ? "data" : "stringData") + ")"};
  }
  const std::string want = rule == "int32" ? "integer" : rule;
  if (type_of(value) != want) return wrong_type(path, want, value);
  if (rule != "int32") return ok();
  using Int32 = std::numeric_limits<std::int32_t>;
  const auto number = value.get<double>();
  if (number >= Int32::min() && number <= Int32::max()) return ok();
  return Error{Code::invalid, path + ": Invalid value: " + value.dump() + ": it is beyond 32 bits"};
}
}  // namespace

Status check_types(const Json& value, const Json& rule, const std::string& path) {
  const std::string name = rule.is_string() ? rule.get<std::string>() : "";
  const std::string plain = name.starts_with("!") ? name.substr(1) : name;
  if (value.is_null()) return ok();  // as absent
  if (rule.is_array() || plain == "strings") {
    if (!value.is_array()) return wrong_type(path, "array", value);
    const Json element = rule.is_array() ? rule[0] : Json("string");
    for (std::size_t i = 0; i < value.size(); ++i)
      TRY(check_types(value[i], element, path + "[" + std::to_string(i) + "]"));
    return ok();
  }
  if (!plain.empty() && plain != "object") return check_leaf(value, plain, path);
  if (!value.is_object()) return wrong_type(path, "object", value);
  if (plain == "object") return ok();
  for (const auto& [key, sub] : rule.items()) {
    if (key == "!" || key == "*" || key == "...") continue;
    if (value.contains(key))
      TRY(check_types(value[key], sub, below(path, key)));
    else if (is_required(sub))
      return Error{Code::invalid, below(path, key) + ": Required value"};
  }
  if (rule.contains("*"))
    for (const auto& [key, sub] : value.items()) TRY(check_types(sub, rule["*"], below(path, key)));
  return ok();
}
}  // namespace kairo::cluster
