// agents/local/apiserver/workspace_schema.cpp - the field table of KAITO's Workspace CRD.
#include "agents/local/apiserver/workspace_schema.h"

#include "agents/local/apiserver/core_schema.h"
#include "agents/local/apiserver/field_types.h"

namespace kairo::cluster {
namespace {
// field_types.h says what the words mean.
const Json& table() {
  static const Json fields = [] {
    Json out = Json::parse(R"({
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
    for (const char* at : {"/inference/adapters/0/source", "/tuning/input", "/tuning/output"})
      out[Json::json_pointer(at)]["volumeSource"] = volume_source_rule();
    return out;
  }();
  return fields;
}
Status check_fields(const Json& value, const Json& rule, const std::string& path) {
  if (rule.is_array() && value.is_array())
    for (std::size_t i = 0; i < value.size(); ++i)
      TRY(check_fields(value[i], rule[0], path + "[" + std::to_string(i) + "]"));
  if (!rule.is_object() || !value.is_object() || rule.contains("*")) return ok();
  for (const auto& [key, sub] : value.items()) {
    const std::string here = path.empty() ? key : path + "." + key;
    if (rule.contains("...") && !rule.contains(key)) continue;
    if (!rule.contains(key) || key == "!")
      return Error{Code::invalid, "strict decoding error: unknown field \"" + here + "\""};
    TRY(check_fields(sub, rule[key], here));
  }
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
