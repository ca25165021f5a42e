// gpu/model/layer_plan.cpp - the Llama family's layer as data.
#include "gpu/model/layer_plan.h"

namespace kairo::gpu {
std::span<const Module> modules_of(const ModelConfig& config, Group g) {
  static constexpr std::array<Module, module_kinds> all = {
      Module::q,  Module::k,    Module::v,   Module::o,      Module::gate,
      Module::up, Module::down, Module::qkv, Module::gate_up};
  const std::span<const Module> span = all;
  switch (g) {
    case Group::qkv:
      return config.fused ? span.subspan(7, 1) : span.subspan(0, 3);
    case Group::o:
      return span.subspan(3, 1);
    case Group::gate_up:
      return config.fused ? span.subspan(8, 1) : span.subspan(4, 2);
    case Group::down:
      return span.subspan(6, 1);
  }
  return {};
}
std::vector<Module> modules_of(const ModelConfig& config) {
  std::vector<Module> out;
  for (const Group g : all_groups)
    for (const Module m : modules_of(config, g)) out.push_back(m);
  return out;
}

LinearShape shape_of(const ModelConfig& c, Module m) {
  switch (m) {
    case Module::q:
      return {c.heads * c.head_dim, c.hidden};
    case Module::k:
    case Module::v:
      return {c.kv_heads * c.head_dim, c.hidden};
    case Module::o:
      return {c.hidden, c.heads * c.head_dim};
    case Module::gate:
    case Module::up:
      return {c.intermediate, c.hidden};
    case Module::down:
      return {c.hidden, c.intermediate};
    case Module::qkv:
      return {(c.heads + 2 * c.kv_heads) * c.head_dim, c.hidden};
    case Module::gate_up:
      return {2 * c.intermediate, c.hidden};
  }
  return {0, 0};
}

LinearShape shape_of(const ModelConfig& config, Group g) {
  LinearShape total{0, 0};
  for (const Module m : modules_of(config, g)) {
    const LinearShape s = shape_of(config, m);
    total = {total.out + s.out, s.in};
  }
  return total;
}

bool has_bias(const ModelConfig& config, Group g) {
  return g == Group::qkv ? config.qkv_bias : g == Group::o ? config.o_bias : config.mlp_bias;
}

const char* name_of(Module m) {
  constexpr std::array<const char*, module_kinds> names = {
      "q_proj",  "k_proj",    "v_proj",   "o_proj",      "gate_proj",
      "up_proj", "down_proj", "qkv_proj", "gate_up_proj"};
  return names[index_of(m)];
}

std::string module_path(std::int64_t layer, Module m) {
  const bool attention = index_of(m) <= index_of(Module::o) || m == Module::qkv;
  return "model.layers." + std::to_string(layer) + (attention ? ".self_attn." : ".mlp.") +
         name_of(m);
}
std::string input_norm_name(std::int64_t layer) {
  return "model.layers." + std::to_string(layer) + ".input_layernorm.weight";
}
std::string post_attention_norm_name(std::int64_t layer) {
  return "model.layers." + std::to_string(layer) + ".post_attention_layernorm.weight";
}
}  // namespace kairo::gpu
