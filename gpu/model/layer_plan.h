// gpu/model/layer_plan.h - which matrices a decoder layer has, how they are grouped and what they
// are called.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "gpu/formats/model_config.h"

namespace kairo::gpu {
// Modules that read the same input are one group: their matrices are one product.
enum class Group : std::uint8_t { qkv, o, gate_up, down };
constexpr std::array<Group, 4> all_groups = {Group::qkv, Group::o, Group::gate_up, Group::down};
constexpr std::size_t index_of(Group g) {
  return static_cast<std::size_t>(g);
}
std::span<const Module> modules_of(const ModelConfig& config, Group g);
std::vector<Module> modules_of(const ModelConfig& config);  // in the order of the forward pass

struct LinearShape {
  std::int64_t out, in;  // weight: (out, in), row-major
};
LinearShape shape_of(const ModelConfig& config, Module m);
LinearShape shape_of(const ModelConfig& config, Group g);  // rows of its modules stacked
bool has_bias(const ModelConfig& config, Group g);         // all of its modules, or none

const char* name_of(const ModelConfig& config, Module m);  // "q_proj"
// As adapters call it; stored_path and norm_path: as files do, with ".weight" or ".bias" behind.
std::string module_path(const ModelConfig& config, std::int64_t layer, Module m);
std::string stored_path(const ModelConfig& config, std::int64_t layer, Module m);  // in files
std::string norm_path(const ModelConfig& config, std::int64_t layer, NormAt at);   // that it has
std::string norm_in_layer(const ModelConfig& config, NormAt at);  // ".self_attn.q_norm"
std::int64_t norm_width(const ModelConfig& config, NormAt at);
}  // namespace kairo::gpu
