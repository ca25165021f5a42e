// gpu/formats/lora_targets.h - which modules an adapter adapts, as peft's LoraConfig says it.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace kairo::gpu {
struct LoraTargets {
  LoraTargets() = default;
  LoraTargets(std::vector<std::string> suffixes) : names(std::move(suffixes)) {}
  LoraTargets(std::initializer_list<std::string> suffixes) : names(suffixes) {}
  std::vector<std::string> names;           // ends of paths ("q_proj"), or all-linear alone
  std::string pattern;                      // instead of names: a regular expression of whole paths
  std::vector<std::int64_t> layers;         // layers_to_transform; empty: all
  std::vector<std::string> layers_pattern;  // what stands before a layer's number ("layers")
  std::vector<std::string> exclude;         // exclude_modules: ends of paths
  std::string exclude_pattern;              // or a regular expression
  bool operator==(const LoraTargets&) const = default;
};
}  // namespace kairo::gpu
