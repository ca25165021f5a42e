// agents/cli/yaml.h - YAML (and JSON, which is YAML) <-> JSON text. Pure.
#pragma once
#include <string>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::cli {
// One JSON object per document, as kubectl reads it (schemas/yaml/yaml.h). invalid: also when a
// document is no object; the message names file, line and column.
Result<std::vector<std::string>> yaml_to_json(const std::string& text, const std::string& file);
std::string json_to_yaml(const std::string& json);
}  // namespace kairo::cli
