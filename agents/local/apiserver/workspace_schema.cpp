// agents/local/apiserver/workspace_schema.cpp - reads what the CustomResourceDefinition says.
#include "agents/local/apiserver/workspace_schema.h"

#include <algorithm>
#include <map>

#include "agents/local/apiserver/core_schema.h"
#include "agents/local/apiserver/field_types.h"
#include "agents/local/apiserver/workspace_definition.h"
#include "schemas/base/assert.h"
#include "schemas/yaml/yaml.h"

namespace kairo::cluster {
namespace {
struct Version {
  Json schema;  // openAPIV3Schema of what users write: its properties without metadata and status
  Json types;   // the same as check_types() reads it
};
bool contains(const Json& list, const std::string& text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}
// A table of field_types.h.
Json types_of(const Json& schema, bool is_required) {
  const std::string type = schema["type"], mark = is_required ? "!" : "";
  if (type == "array") {
    const Json element = types_of(schema["items"], false);
    return element == "string" ? Json(mark + "strings") : Json::array({element});
  }
  if (type != "object") return mark + type;
  if (schema.contains("additionalProperties"))
    return {{"*", types_of(schema["additionalProperties"], false)}};
  if (!schema.contains("properties")) return mark + "object";
  Json out = Json::object();
  const Json required = schema.value("required", Json::array());
  for (const auto& [key, field] : schema["properties"].items())
    // KAITO's own type knows the sources; its definition takes anything.
    out[key] =
        key == "volumeSource" ? volume_source_rule() : types_of(field, contains(required, key));
  if (is_required) out["!"] = true;
  return out;
}
std::map<std::string, Version> read_definition() {
  const auto read = yaml::read(workspace_definition, "workspaces", yaml::Dialect::kubectl);
  KAIRO_ASSERT(read.ok(), "deploy/crds/kaito.sh_workspaces.yaml is no YAML");
  const Json definition = Json::parse(yaml::to_json(read.value().front()));
  std::map<std::string, Version> out;
  for (const Json& version : definition["spec"]["versions"]) {
    Json schema = version["schema"]["openAPIV3Schema"];
    for (const char* not_ours : {"apiVersion", "kind", "metadata", "status"})
      schema["properties"].erase(not_ours);
    const Json types = types_of(schema, false);
    out[version["name"]] = {std::move(schema), types};
  }
  return out;
}
const Version& of(const std::string& version) {
  static const std::map<std::string, Version> all = read_definition();
  const auto found = all.find(version);
  return found == all.end() ? all.at("v1beta1") : found->second;
}
std::string field_of(const std::string& path, const std::string& key) {
  return path.empty() ? key : path + "." + key;
}

Status check_fields(const Json& value, const Json& schema, const std::string& path) {
  if (value.is_array() && schema.contains("items"))
    for (std::size_t i = 0; i < value.size(); ++i)
      TRY(check_fields(value[i], schema["items"], path + "[" + std::to_string(i) + "]"));
  if (!value.is_object() || !schema.contains("properties")) return ok();
  for (const auto& [key, sub] : value.items()) {
    const std::string here = field_of(path, key);
    if (!schema["properties"].contains(key))
      return Error{Code::invalid, "strict decoding error: unknown field \"" + here + "\""};
    TRY(check_fields(sub, schema["properties"][key], here));
  }
  return ok();
}

void fill_in(Json& value, const Json& schema) {
  if (value.is_array() && schema.contains("items"))
    for (Json& element : value) fill_in(element, schema["items"]);
  if (!value.is_object() || !schema.contains("properties")) return;
  for (const auto& [key, field] : schema["properties"].items()) {
    if (!value.contains(key) && field.contains("default")) value[key] = field["default"];
    if (value.contains(key)) fill_in(value[key], field);
  }
}

Status check_value(const Json& value, const Json& schema, const std::string& path) {
  const auto wrong = [&](const std::string& why) {
    return Error{Code::invalid, path + ": " + why};
  };
  const auto exceeds = [&](std::size_t size, const char* bound) {
    return schema.contains(bound) && size > schema[bound].get<std::size_t>();
  };
  if (schema.contains("enum") && !contains(schema["enum"], value.get<std::string>())) {
    std::string words;
    for (const Json& word : schema["enum"]) words += (words.empty() ? "" : ", ") + word.dump();
    return wrong("Unsupported value: " + value.dump() + ": supported values: " + words);
  }
  if (value.is_string() && exceeds(value.get<std::string>().size(), "maxLength"))
    return wrong("Too long: may not be more than " + schema["maxLength"].dump() + " bytes");
  if (value.is_number() && schema.contains("minimum") && value < schema["minimum"])
    return wrong("Invalid value: " + value.dump() + ": " + path +
                 " in body should be greater than or equal to " + schema["minimum"].dump());
  for (const char* bound : {"maxItems", "maxProperties"})
    if (value.is_structured() && exceeds(value.size(), bound))
      return wrong("Too many: " + std::to_string(value.size()) + ": must have at most " +
                   schema[bound].dump() + " items");
  if (value.is_array() && schema.contains("items"))
    for (std::size_t i = 0; i < value.size(); ++i)
      TRY(check_value(value[i], schema["items"], path + "[" + std::to_string(i) + "]"));
  if (!value.is_object()) return ok();
  for (const auto& [key, sub] : value.items()) {
    if (schema.contains("additionalProperties"))
      TRY(check_value(sub, schema["additionalProperties"], field_of(path, key)));
    else if (schema.contains("properties") && schema["properties"].contains(key))
      TRY(check_value(sub, schema["properties"][key], field_of(path, key)));
  }
  return ok();
}
Json written(const Json& workspace) {  // what users write
  Json out = workspace;
  for (const char* not_ours : {"apiVersion", "kind", "metadata", "status"}) out.erase(not_ours);
  return out;
}
}  // namespace

Status check_known_fields(const Json& workspace, const std::string& version) {
  return check_fields(written(workspace), of(version).schema, "");
}

void add_defaults(Json& workspace, const std::string& version) {
  fill_in(workspace, of(version).schema);
}

Status check_schema(const Json& workspace) {
  const Version& stored = of("v1beta1");
  const Json object = written(workspace);
  TRY(check_types(object, stored.types, ""));
  return check_value(object, stored.schema, "");
}
}  // namespace kairo::cluster
