// What this proves: the ConfigMap of a tuning is checked by KAITO's rules T5-T12 with KAITO's
// texts.
#include "agents/admission/admit_config.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

using namespace kairo;
using Json = nlohmann::json;

TEST_CASE("admit: training_config.yaml") {
  const auto map = [](const std::string& yaml) {
    return Json{{"metadata", {{"namespace", "team"}}}, {"data", {{"training_config.yaml", yaml}}}}
        .dump();
  };
  const std::string head = "training_config:\n",
                    on = "  QuantizationConfig:\n    load_in_4bit: true\n";
  struct Row {
    std::string name, yaml, method, says;
  };
  const Row rows[] = {
      {"good qlora", head + on, "qlora", ""},
      {"good lora", head + "  LoraConfig:\n    r: 8\n", "lora", ""},
      {"yes, as Python reads it", head + "  QuantizationConfig: {load_in_4bit: yes}\n", "qlora",
       ""},
      {"a merge key", "d: &d {load_in_4bit: true}\n" + head + "  QuantizationConfig: {<<: *d}\n",
       "qlora", ""},
      {"a section twice", head + on + on, "qlora",
       "invalid value: ConfigMap 'm': training_config.yaml:4:3: key \"QuantizationConfig\" stands "
       "twice"},
      {"T6 no map", "training_config: 3\n", "lora",
       "invalid value: training_config in ConfigMap 'm' is not a map"},
      {"T7 section", head + "  Optimizer: {}\n", "lora",
       "invalid value: Unrecognized section: Optimizer in ConfigMap 'm'; sections are "
       "DataCollator, DatasetConfig, LoraConfig, ModelConfig, QuantizationConfig, "
       "TrainingArguments"},
      {"T8 type", head + "  QuantizationConfig:\n    load_in_4bit: \"yes\"\n", "qlora",
       "invalid value: value must be either nil or a boolean, got type string: load_in_4bit"},
      {"T8 number", head + "  QuantizationConfig:\n    load_in_8bit: 1\n", "qlora",
       "invalid value: value must be either nil or a boolean, got type int: load_in_8bit"},
      {"T8 fraction", head + "  QuantizationConfig:\n    load_in_8bit: 0.5\n", "qlora",
       "invalid value: value must be either nil or a boolean, got type float64: load_in_8bit"},
      {"T8 map", head + "  QuantizationConfig:\n    load_in_4bit: {a: 1}\n", "qlora",
       "invalid value: value must be either nil or a boolean, got type map[interface {}]interface "
       "{}: load_in_4bit"},
      {"T8 list", head + "  QuantizationConfig:\n    load_in_4bit: [true]\n", "qlora",
       "invalid value: value must be either nil or a boolean, got type []interface {}: "
       "load_in_4bit"},
      {"T9 both", head + on + "    load_in_8bit: true\n", "qlora",
       "invalid value: Cannot set both 'load_in_4bit' and 'load_in_8bit' to true in ConfigMap 'm'"},
      {"T10 lora", head + on, "lora",
       "invalid value: For method 'lora', 'load_in_4bit' or 'load_in_8bit' in ConfigMap 'm' must "
       "not be true"},
      {"T11 qlora", head + "  LoraConfig: {}\n", "qlora",
       "missing field(s): For method 'qlora', either 'load_in_4bit' or 'load_in_8bit' must be true "
       "in ConfigMap 'm'"},
      {"T12 outside", head + "  TrainingArguments:\n    output_dir: ../etc\n", "lora",
       "invalid value: Invalid output_dir specified: '../etc', must be a directory: output_dir"},
      {"T12 /mnt itself", head + "  TrainingArguments:\n    output_dir: /mnt\n", "lora",
       "invalid value: Invalid output_dir specified: '/mnt', must be a directory: output_dir"},
      {"T12 number", head + "  TrainingArguments:\n    output_dir: 3\n", "lora",
       "invalid value: output_dir is not a string in ConfigMap 'm' in namespace 'team': "
       "output_dir"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(admission::check_training_config(map(row.yaml), "m", row.method) == row.says);
  }
  CHECK(admission::check_training_config("{}", "m", "lora") ==
        "missing field(s): training_config.yaml in ConfigMap 'm'");
  CHECK(admission::check_training_config(map("a: [1\n"), "m", "lora") ==
        "invalid value: ConfigMap 'm': training_config.yaml:2:1: not valid YAML: did not find "
        "expected ',' or ']'");
}
