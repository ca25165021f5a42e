// gpu/model/layer_plan.cpp - a layer's matrices as data.
#include "gpu/model/layer_plan.h"

namespace kairo::gpu {
std::span<const Module> modules_of(const ModelConfig& config, Group g) {
  static constexpr std::array<Module, module_kinds> all = {
      Module::q,  Module::k,    Module::v,   Module::o,      Module::gate,
      Module::up, Module::down, Module::qkv, Module::gate_up};
  const std::span<const Module> span = all;
  switch (g) {
    case Group::qkv:
      return config.fused_qkv ? span.subspan(7, 1) : span.subspan(0, 3);
    case Group::o:
      return span.subspan(3, 1);
    case Group::gate_up:
      if (!config.is_gated()) return span.subspan(5, 1);
      return config.fused_gate_up ? span.subspan(8, 1) : span.subspan(4, 2);
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

const char* name_of(const ModelConfig& config, Module m) {
  return config.names->modules[index_of(m)];
}
namespace {
std::string within_layer(const ModelConfig& config, Module m) {
  const bool attention = index_of(m) <= index_of(Module::o) || m == Module::qkv;
  return std::string(attention ? config.names->attention : config.names->mlp) + name_of(config, m);
}
std::string stored_layer(const TensorNames& names, std::int64_t layer) {
  return (names.stored_layers == nullptr ? names.layers : names.stored_layers) +
         std::to_string(layer) + ".";
}
}  // namespace

std::string module_path(const ModelConfig& config, std::int64_t layer, Module m) {
  return config.names->layers + std::to_string(layer) + "." + within_layer(config, m);
}
std::string stored_path(const ModelConfig& config, std::int64_t layer, Module m) {
  return stored_layer(*config.names, layer) + within_layer(config, m);
}
std::string norm_in_layer(const ModelConfig& config, NormAt at) {
  const bool of_heads = at == NormAt::query || at == NormAt::key;
  return std::string(".") + (of_heads ? config.names->attention : "") +
         config.names->norms[index_of(at)];
}
std::string norm_path(const ModelConfig& config, std::int64_t layer, NormAt at) {
  return stored_layer(*config.names, layer) + norm_in_layer(config, at).substr(1);
}
std::int64_t norm_width(const ModelConfig& c, NormAt at) {
  const bool of_query = at == NormAt::query;
  if (!of_query && at != NormAt::key) return c.hidden;
  if (c.qk_norm == QkNorm::head) return c.head_dim;
  return (of_query ? c.heads : c.kv_heads) * c.head_dim;
}
}  // namespace kairo::gpu
