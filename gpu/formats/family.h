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
  unread     // use_sliding_window must be false
};
struct Family {
  std::string_view architecture, model_type;
  Windows windows = Windows::none;
  bool qkv_bias = false;      // q, k and v always have one
  bool bias_flags = false;    // attention_bias (q, k, v, o) and mlp_bias are read; else refused
  bool plain_layers = false;  // no_rope_layers: some layers know no positions
  bool fused = false;         // qkv_proj and gate_up_proj are one matrix each
  bool longrope = false;      // rope_type longrope, partial_rotary_factor
  // transformers' defaults where a file says nothing (null says something).
  std::int64_t window = 4096, kv_heads = 0;  // window 0: none; kv_heads 0: as many as heads
  std::int64_t original_positions = 0;       // 0: max_position_embeddings
  double theta = 10000.0, norm_eps = 1e-6;
  bool tied_head = false;
  bool residual_dropout = false;  // resid_pdrop and embd_pdrop are read
  // false: computed, but its tokenizers and templates are not compared with transformers' yet, so
  // that no preset is given to it.
  bool is_offered = true;
};
const Family* find_family(std::string_view architecture);  // null: not computed here
const std::vector<Family>& families();
// One a layer. layers, positions: the config's.
std::vector<LayerKind> layer_kinds(const Family& family, Fields& f, std::int64_t layers,
                                   std::int64_t positions);
}  // namespace kairo::gpu
