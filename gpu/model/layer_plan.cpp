// gpu/model/layer_plan.cpp - the Llama family's layer as data.
#include "gpu/model/layer_plan.h"

namespace kairo::gpu {
std::span<const Module> modules_of(Group g) {
  const std::span<const Module> all = all_modules;
  switch (g) {
    case Group::qkv:
      return all.subspan(0, 3);
    case Group::o:
      return all.subspan(3, 1);
    case Group::gate_up:
      return all.subspan(4, 2);
    case Group::down:
      return all.subspan(6, 1);
  }
  return {};
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
  }
  return {0, 0};
}

LinearShape shape_of(const ModelConfig& config, Group g) {
  LinearShape total{0, 0};
  for (const Module m : modules_of(g)) {
    const LinearShape s = shape_of(config, m);
    total = {total.out + s.out, s.in};
  }
  return total;
}

bool has_bias(const ModelConfig& config, Group g) {
  return g == Group::qkv ? config.qkv_bias : g == Group::o ? config.o_bias : config.mlp_bias;
}

const char* name_of(Module m) {
  constexpr std::array<const char*, 7> names = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                                "gate_proj", "up_proj", "down_proj"};
  return names[index_of(m)];
}

std::string module_path(std::int64_t layer, Module m) {
  const bool attention = index_of(m) <= index_of(Module::o);
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
