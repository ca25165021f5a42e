// schemas/yaml/json_text.h - JSON files: objects one after the other. Private to yaml/.
#pragma once
#include "schemas/yaml/yaml.h"

namespace kairo::yaml {
Result<std::vector<Value>> read_json(std::string_view text, const std::string& name,
                                     const Limits& limits);
}  // namespace kairo::yaml
