// agents/cli/explain.cpp - `kairo explain`: what each field of a Workspace means. The texts are the
// CustomResourceDefinition's, which `kubectl explain` shows too.
#include <iostream>

#include "agents/cli/cli.h"
#include "agents/local/apiserver/workspace_definition.h"
#include "schemas/yaml/yaml.h"

namespace kairo::cli {
namespace {
using yaml::Value;

std::string text(const Value& schema, const char* key) {
  const Value* value = schema.find(key);
  return value == nullptr ? "" : value->text;
}
std::string type_of(const Value& schema) {
  const std::string type = text(schema, "type");
  if (const Value* items = schema.find("items")) return "[]" + type_of(*items);
  if (const Value* values = schema.find("additionalProperties"))
    return "map[string]" + type_of(*values);
  return type == "object" ? "Object" : type;
}
// The fields of an object, or of each object of a list; null: it has none.
const Value* fields_of(const Value& schema) {
  const Value* items = schema.find("items");
  return (items == nullptr ? schema : *items).find("properties");
}
std::string fields_below(const Value& schema, const std::string& path) {
  std::string out;
  const Value* fields = fields_of(schema);
  if (fields == nullptr) return out;
  for (const yaml::Entry& field : fields->entries) {
    const std::string name = path + field.key, about = text(field.value, "description");
    const bool is_asked = path.empty();  // further down only what needs a word
    if (is_asked || !about.empty()) out += "  " + name + "\t<" + type_of(field.value) + ">\n";
    if (!about.empty()) out += "      " + about + "\n";
    out += fields_below(field.value, name + ".");
  }
  return out;
}
Result<Value> newest_schema() {
  const auto read =
      TRY(yaml::read(cluster::workspace_definition, "definition", yaml::Dialect::kubectl));
  const Value* at = &read.front();
  for (const char* key : {"spec", "versions"}) at = at->find(key);
  at = &at->items.front();  // v1beta1
  for (const char* key : {"schema", "openAPIV3Schema"}) at = at->find(key);
  return *at;
}
}  // namespace

Status explain(const std::string& wanted) {
  const std::size_t dot = wanted.find('.');
  const std::string kind = wanted.substr(0, dot);
  if (!kind.empty() && kind != "workspace" && kind != "workspaces" && kind != "wk" &&
      kind != "wks" && kind != "ws")
    return Error{Code::not_found, "no kind \"" + kind + "\"; start with `kairo explain workspace`"};
  const Value schema = TRY(newest_schema());
  const Value* found = &schema;
  std::string path = "workspace", rest = dot == std::string::npos ? "" : wanted.substr(dot + 1);
  while (!rest.empty()) {
    const std::size_t end = rest.find('.');
    const std::string name = rest.substr(0, end);
    const Value* fields = fields_of(*found);
    found = fields == nullptr ? nullptr : fields->find(name);
    if (found == nullptr)
      return Error{Code::not_found, "no field \"" + path + "." + name + "\"; `kairo explain " +
                                        path + "` names those there are"};
    path += "." + name;
    rest = end == std::string::npos ? "" : rest.substr(end + 1);
  }
  std::cout << "FIELD: " << path << "  <" << (found == &schema ? "Workspace" : type_of(*found))
            << ">\n";
  if (const std::string about = text(*found, "description"); !about.empty())
    std::cout << "\n  " << about << "\n";
  if (const std::string inner = fields_below(*found, ""); !inner.empty())
    std::cout << "\nFIELDS:\n" << inner;
  return ok();
}
}  // namespace kairo::cli
