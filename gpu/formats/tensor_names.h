// gpu/formats/tensor_names.h - what a family calls its tensors, in files and in peft's paths.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace kairo::gpu {
// The linear modules of a layer, in the order of the forward pass.
// qkv and gate_up are what a family with fused matrices has instead of three and of two.
enum class Module : std::uint8_t { q, k, v, o, gate, up, down, qkv, gate_up };
constexpr std::size_t module_kinds = 9;
constexpr std::size_t index_of(Module m) {
  return static_cast<std::size_t>(m);
}
// Before and after each of a layer's two halves, and of the query and key heads.
enum class NormAt : std::uint8_t { attention, after_attention, mlp, after_mlp, query, key };
constexpr std::size_t norm_places = 6;
constexpr std::size_t index_of(NormAt at) {
  return static_cast<std::size_t>(at);
}
struct TensorNames {
  const char* layers = "model.layers.";
  const char* stored_layers = nullptr;  // in files, where they are called otherwise than in paths
  const char *attention = "self_attn.", *mlp = "mlp.";
  std::array<const char*, module_kinds> modules = {"q_proj",    "k_proj",    "v_proj",
                                                   "o_proj",    "gate_proj", "up_proj",
                                                   "down_proj", "qkv_proj",  "gate_up_proj"};
  // Null: the family has no norm there.
  std::array<const char*, norm_places> norms = {
      "input_layernorm", nullptr, "post_attention_layernorm", nullptr, nullptr, nullptr};
  const char *embedding = "model.embed_tokens", *final_norm = "model.norm", *head = "lm_head";
};
inline constexpr TensorNames llama_names;
}  // namespace kairo::gpu
