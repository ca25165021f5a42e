// gpu/formats/family.h - THE TABLE: a row says what a family of models computes that the numbers of
// its config.json do not.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gpu/formats/config_fields.h"
#include "gpu/formats/model_config.h"

namespace kairo::gpu {
// Which layers a sliding_window limits.
enum class Windows : std::uint8_t {
  none,      // transformers ignores it: refused where a sequence could reach it
  all,       // Mistral
  by_layer,  // where use_sliding_window: those that layer_types names, else from max_window_layers
  local,     // those that layer_types names, else all but each `every_full`-th
  unread     // use_sliding_window must be false
};
struct Family {
  std::string_view architecture, model_type;
  LayerForm form;
  bool in_text_config = false;  // of a model for images and text, whose text alone is computed
  Windows windows = Windows::none;
  std::int64_t every_full = 0;  // sliding_window_pattern says otherwise
  bool bias_flags = false;      // attention_bias (q, k, v, o) and mlp_bias are read; else refused
  bool plain_layers = false;    // no_rope_layers: some layers know no positions
  bool longrope = false;        // rope_type longrope, partial_rotary_factor
  bool grows_queries = false;   // llama_4_scaling_beta
  // transformers' defaults where a file says nothing (null says something).
  std::int64_t window = 4096, kv_heads = 0;          // window 0: none; kv_heads 0: as many as heads
  std::int64_t head_dim = 0;                         // 0: hidden_size / num_attention_heads
  std::int64_t original_positions = 0;               // 0: max_position_embeddings
  std::int64_t positions = 0, heads = 0, vocab = 0;  // 0: must be said
  double theta = 10000.0, norm_eps = 1e-6;
  double local_theta = 0;  // 0: local layers turn as the others do
  bool tied_head = false;
  bool residual_dropout = false;  // resid_pdrop and embd_pdrop are read
  // The names of fields that differ.
  const char *activation_key = "hidden_act", *activation = "silu", *eps_key = "rms_norm_eps";
  const char *kv_heads_key = "num_key_value_heads", *intermediate_key = "intermediate_size";
  const char* local_theta_key = nullptr;
  void (*own_fields)(ModelConfig&, Fields&) = nullptr;  // those that no other family has
};
// model_type: of the text_config, where a model has one. null: not computed here.
const Family* find_family(std::string_view architecture, std::string_view text_type = {});
const std::vector<Family>& families();
// One a layer. layers, positions: the config's.
std::vector<LayerKind> layer_kinds(const Family& family, Fields& f, std::int64_t layers,
                                   std::int64_t positions);
}  // namespace kairo::gpu
