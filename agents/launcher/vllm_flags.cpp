// agents/launcher/vllm_flags.cpp - one flag per key.
#include "agents/launcher/vllm_flags.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "schemas/yaml/yaml.h"

namespace kairo::launcher {
namespace {
using Kind = yaml::Value::Kind;
constexpr std::size_t flags_max = 100;
constexpr const char* key_of_map = "inference_config.yaml";

bool is_flag(const std::string& name) {
  return !name.empty() && name.size() <= 64 && name.front() != '-' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}
// What the Service, the probes and the run directory rest on.
bool is_ours(const std::string& name) {
  const char* const ours[] = {"host", "port", "model", "lora-modules"};
  return std::find(std::begin(ours), std::end(ours), name) != std::end(ours);
}
void add(std::vector<std::string>& out, const std::string& name, const yaml::Value& value) {
  if (value.kind == Kind::null) return;
  if (value.kind == Kind::boolean) return out.push_back((value.boolean ? "--" : "--no-") + name);
  out.push_back("--" + name);
  const bool is_composed = value.kind == Kind::map || value.kind == Kind::list;
  out.push_back(is_composed ? yaml::to_json(value) : value.text);
}
Error wrong_in(const std::string& name, const std::string& why) {
  return {Code::conflict, "ConfigMap '" + name + "' specified in 'inference.config': " + why};
}
// The section `vllm`; null: there is none.
Result<yaml::Value> section_of(const std::string& config_map, const std::string& name) {
  const auto json = nlohmann::json::parse(config_map, nullptr, false);
  const auto at = nlohmann::json::json_pointer("/data") / key_of_map;
  if (!json.is_object() || !json.contains(at) || !json[at].is_string())
    return wrong_in(name, std::string("it has no key ") + key_of_map);
  const auto read = yaml::read(json[at].get<std::string>(), key_of_map, yaml::Dialect::pyyaml);
  if (!read.ok()) return wrong_in(name, read.error().what);
  const yaml::Value* flags = read.value().empty() ? nullptr : read.value().front().find("vllm");
  if (flags == nullptr || flags->kind == Kind::null) return yaml::Value{};
  if (flags->kind != Kind::map) return wrong_in(name, "'vllm' is not a map of flags");
  return *flags;
}
}  // namespace

Result<std::vector<std::string>> vllm_flags(const std::string& config_map,
                                            const std::string& name) {
  const auto wrong = [&](const std::string& why) { return wrong_in(name, why); };
  const yaml::Value flags = TRY(section_of(config_map, name));
  std::vector<std::string> out;
  if (flags.entries.size() > flags_max)
    return wrong("'vllm' has more than " + std::to_string(flags_max) + " flags");
  for (const yaml::Entry& entry : flags.entries) {
    std::string flag = entry.key;
    std::replace(flag.begin(), flag.end(), '_', '-');
    if (!is_flag(flag)) return wrong("'vllm." + entry.key + "' is not the name of a flag");
    if (is_ours(flag)) return wrong("'vllm." + entry.key + "' is kairo's own to set; take it out");
    add(out, flag, entry.value);
  }
  return out;
}

Result<std::vector<std::string>> native_words(const std::string& config_map,
                                              const std::string& name, bool is_local) {
  const yaml::Value flags = TRY(section_of(config_map, name));
  for (const yaml::Entry& entry : flags.entries)
    if (is_local && entry.key != "quantization")
      return wrong_in(name,
                      "'vllm." + entry.key +
                          "' is a setting of vLLM, which does not run in local mode; of these "
                          "kairo-serve reads 'quantization'; take it out");
  const yaml::Value* asked = flags.find("quantization");
  if (asked == nullptr || asked->kind == Kind::null) return std::vector<std::string>();
  if (asked->kind == Kind::text && asked->text == "bitsandbytes")
    return std::vector<std::string>{"--weights", "nf4"};
  return wrong_in(name,
                  "'vllm.quantization' is " + yaml::to_json(*asked) +
                      ": kairo's own engine, which serves this model, has bitsandbytes (NF4), "
                      "or weights as they are stored; take it out");
}
}  // namespace kairo::launcher
