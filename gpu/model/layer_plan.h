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
// The linear modules of a layer, in the order of the forward pass.
// qkv and gate_up are what a family with fused matrices has instead of three and of two.
enum class Module : std::uint8_t { q, k, v, o, gate, up, down, qkv, gate_up };
constexpr std::size_t module_kinds = 9;
constexpr std::size_t index_of(Module m) {
  return static_cast<std::size_t>(m);
}
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

const char* name_of(Module m);                          // "q_proj"
std::string module_path(std::int64_t layer, Module m);  // "model.layers.0.self_attn.q_proj"
std::string input_norm_name(std::int64_t layer);        // tensor names
std::string post_attention_norm_name(std::int64_t layer);
constexpr const char* embedding_name = "model.embed_tokens.weight";
constexpr const char* final_norm_name = "model.norm.weight";
constexpr const char* head_name = "lm_head.weight";  // absent when the head is tied
}  // namespace kairo::gpu
