// gpu/formats/gguf_family.cpp - the table, and names in both worlds.
#include "gpu/formats/gguf_family.h"

#include "gpu/formats/gguf_keys.h"

namespace kairo::gpu {
namespace {
constexpr GgufName llama_parts[] = {
    {"attn_norm", "input_layernorm"},   {"ffn_norm", "post_attention_layernorm"},
    {"attn_q", "self_attn.q_proj"},     {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},     {"attn_output", "self_attn.o_proj"},
    {"ffn_gate", "mlp.gate_proj"},      {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},      {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"}};
constexpr auto without_head_norms = std::span(llama_parts).first<9>();
constexpr GgufName phi3_parts[] = {
    {"attn_norm", "input_layernorm"},   {"ffn_norm", "post_attention_layernorm"},
    {"attn_qkv", "self_attn.qkv_proj"}, {"attn_output", "self_attn.o_proj"},
    {"ffn_up", "mlp.gate_up_proj"},     {"ffn_down", "mlp.down_proj"}};
const GgufFamily families[] = {
    {"llama", "LlamaForCausalLM", "llama", without_head_norms, true},
    {"qwen2", "Qwen2ForCausalLM", "qwen2", without_head_norms, false, true},
    {"qwen3", "Qwen3ForCausalLM", "qwen3", llama_parts},
    {"phi3", "Phi3ForCausalLM", "phi3", phi3_parts, false, false, true}};
constexpr GgufName top_names[] = {{"token_embd.weight", "model.embed_tokens.weight"},
                                  {"output_norm.weight", "model.norm.weight"},
                                  {"output.weight", "lm_head.weight"}};
constexpr std::string_view weight = ".weight", bias = ".bias";
}  // namespace

Result<const GgufFamily*> gguf_family(const GgufHeader& header) {
  const auto found = TRY(get<std::string>(header, "general.architecture"));
  std::string known;
  for (const GgufFamily& family : families) {
    if (family.architecture == found) return &family;
    known += (known.empty() ? "" : ", ") + std::string(family.architecture);
  }
  return Error{Code::invalid,
               "general.architecture is \"" + found.substr(0, 40) + "\"; imported are " + known};
}

GgufName split_layer(std::string_view name) {
  if (!name.starts_with("blk.")) return {};
  name.remove_prefix(4);
  for (const auto end : {weight, bias})
    if (name.ends_with(end)) name.remove_suffix(end.size());
  const auto dot = name.find('.');
  if (dot == std::string_view::npos || dot == 0 || dot > 4 ||
      name.substr(0, dot).find_first_not_of("0123456789") != std::string_view::npos)
    return {};
  return {name.substr(0, dot), name.substr(dot + 1)};
}

Result<std::string> hf_name(const GgufFamily& family, const std::string& name) {
  for (const auto& n : top_names)
    if (n.gguf == name) return std::string(n.hf);
  const auto [layer, part] = split_layer(name);
  const bool is_bias = name.ends_with(bias);
  const bool may_be =
      is_bias ? family.has_biases && (part == "attn_q" || part == "attn_k" || part == "attn_v")
              : name.ends_with(weight);
  for (const auto& n : family.parts)
    if (n.gguf == part && may_be)
      return "model.layers." + std::string(layer) + "." + std::string(n.hf) +
             std::string(is_bias ? bias : weight);
  return Error{Code::invalid, "tensor " + name.substr(0, 80) + " is none of a " +
                                  std::string(family.architecture) + " model's"};
}
}  // namespace kairo::gpu
