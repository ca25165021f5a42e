// agents/cluster/workspace_schema.cpp - the field table of KAITO's Workspace CRD.
#include "agents/cluster/workspace_schema.h"

namespace kairo::cluster {
namespace {
// Leaves: "string", "integer", "object" (anything in it), "strings"; "!" in front: required;
// [x]: a list of x. A map "*" takes any key.
const Json& table() {
  static const Json fields = Json::parse(R"({
    "resource": {
      "count": "integer", "instanceType": "string", "preferredNodes": "strings",
      "labelSelector": {"!": true, "matchLabels": {"*": "string"},
        "matchExpressions": [{"key": "!string", "operator": "!string", "values": "strings"}]},
      "partition": {"mode": "!string", "profile": "string", "count": "integer"}},
    "inference": {
      "preset": {"name": "!string", "accessMode": "string", "presetOptions":
        {"image": "string", "imagePullSecrets": "strings", "modelAccessSecret": "string"}},
      "template": "object", "config": "string",
      "adapters": [{"strength": "string", "source":
        {"name": "string", "urls": "strings", "volumeSource": "object", "image": "string",
         "imagePullSecrets": "strings"}}]},
    "tuning": {
      "preset": {"name": "!string", "accessMode": "string", "presetOptions":
        {"image": "string", "imagePullSecrets": "strings", "modelAccessSecret": "string"}},
      "method": "string", "config": "string",
      "input": {"!": true, "name": "string", "urls": "strings", "volumeSource": "object",
                "image": "string", "imagePullSecrets": "strings"},
      "output": {"!": true, "volumeSource": "object", "image": "string",
                 "imagePushSecret": "string"}}
  })");
  return fields;
}
bool is_required(const Json& rule) {
  if (rule.is_string()) return rule.get<std::string>().starts_with("!");
  return rule.is_object() && rule.contains("!");
}

Status check_fields(const Json& value, const Json& rule, const std::string& path) {
  if (rule.is_array() && value.is_array())
    for (std::size_t i = 0; i < value.size(); ++i)
      TRY(check_fields(value[i], rule[0], path + "[" + std::to_string(i) + "]"));
  if (!rule.is_object() || !value.is_object() || rule.contains("*")) return ok();
  for (const auto& [key, sub] : value.items()) {
    const std::string here = path.empty() ? key : path + "." + key;
    if (!rule.contains(key) || key == "!")
      return Error{Code::invalid, "strict decoding error: unknown field \"" + here + "\""};
    TRY(check_fields(sub, rule[key], here));
  }
  return ok();
}

const char* type_of(const Json& value) {
  if (value.is_number_integer()) return "integer";
  if (value.is_number()) return "number";
  if (value.is_object()) return "object";
  return value.type_name();
}
Status wrong_type(const std::string& path, const std::string& want, const Json& value) {
  const std::string got = type_of(value);
  return Error{Code::invalid, path + ": Invalid value: \"" + got + "\": " + path +
                                  " in body must be of type " + want + ": \"" + got + "\""};
}
Status check_types(const Json& value, const Json& rule, const std::string& path) {
  const std::string name = rule.is_string() ? rule.get<std::string>() : "";
  const std::string plain = name.starts_with("!") ? name.substr(1) : name;
  if (rule.is_array() || plain == "strings") {
    if (!value.is_array()) return wrong_type(path, "array", value);
    const Json element = rule.is_array() ? rule[0] : Json("string");
    for (std::size_t i = 0; i < value.size(); ++i)
      TRY(check_types(value[i], element, path + "[" + std::to_string(i) + "]"));
    return ok();
  }
  if (plain == "string" || plain == "integer")
    return type_of(value) == plain ? ok() : wrong_type(path, plain, value);
  if (!value.is_object()) return wrong_type(path, "object", value);
  if (plain == "object") return ok();
  for (const auto& [key, sub] : rule.items()) {
    const std::string here = path.empty() ? key : path + "." + key;
    if (key == "!" || key == "*") continue;
    if (value.contains(key))
      TRY(check_types(value[key], sub, here));
    else if (is_required(sub))
      return Error{Code::invalid, here + ": Required value"};
  }
  if (rule.contains("*"))
    for (const auto& [key, sub] : value.items()) TRY(check_types(sub, rule["*"], path + "." + key));
  return ok();
}
}  // namespace

Status check_known_fields(const Json& workspace, const std::string& version) {
  for (const auto& [key, value] : workspace.items()) {
    if (key == "apiVersion" || key == "kind" || key == "metadata" || key == "status") continue;
    if (!table().contains(key))
      return Error{Code::invalid, "strict decoding error: unknown field \"" + key + "\""};
    TRY(check_fields(value, table()[key], key));
  }
  if (version == "v1alpha1" && !at(workspace, {"resource", "partition"}).is_null())
    return Error{Code::invalid, "strict decoding error: unknown field \"resource.partition\""};
  return ok();
}

void add_defaults(Json& workspace, const std::string& version) {
  if (at(workspace, {"resource"}).is_object()) {
    Json& resource = workspace["resource"];
    if (!resource.contains("count")) resource["count"] = 1;
    if (version == "v1alpha1" && !resource.contains("instanceType"))
      resource["instanceType"] = "Standard_NC24ads_A100_v4";
  }
  for (const char* part : {"inference", "tuning"})
    if (at(workspace, {part, "preset"}).is_object() &&
        !workspace[part]["preset"].contains("accessMode"))
      workspace[part]["preset"]["accessMode"] = "public";
}

Status check_schema(const Json& workspace) {
  for (const auto& [key, rule] : table().items())
    if (workspace.contains(key)) TRY(check_types(workspace[key], rule, key));
  for (const char* part : {"inference", "tuning"}) {
    const Json& mode = at(workspace, {part, "preset", "accessMode"});
    if (mode.is_string() && mode != "public" && mode != "private")
      return Error{Code::invalid, std::string(part) + ".preset.accessMode: Unsupported value: " +
                                      mode.dump() + ": supported values: \"public\", \"private\""};
  }
  const Json& mode = at(workspace, {"resource", "partition", "mode"});
  if (mode.is_string() && mode != "mig" && mode != "accelerator")
    return Error{Code::invalid, "resource.partition.mode: Unsupported value: " + mode.dump() +
                                    ": supported values: \"mig\", \"accelerator\""};
  return ok();
}
}  // namespace kairo::cluster
