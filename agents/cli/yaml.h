// agents/cli/yaml.h - YAML (and JSON, which is YAML) <-> JSON text. Pure.
#pragma once
#include <string>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::cli {
// One JSON object per document, empty documents left out. invalid: not YAML, not an object, deeper
// than 64, larger than 3 MiB, a repeated key; the message names file, line and column.
Result<std::vector<std::string>> yaml_to_json(const std::string& text, const std::string& file);
std::string json_to_yaml(const std::string& json);
}  // namespace kairo::cli
