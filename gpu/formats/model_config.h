// gpu/formats/model_config.h - the architecture that a Hugging Face config.json describes.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gpu/formats/tensor_names.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
enum class RopeKind : std::uint8_t { plain, linear, llama3, yarn, longrope };
struct RopeConfig {
  RopeKind kind = RopeKind::plain;
  double theta = 10000.0;
  double factor = 1.0, low_frequency_factor = 1.0, high_frequency_factor = 4.0;
  std::int64_t original_positions = 0;  // llama3, yarn and longrope
  // yarn only: turns within the original positions above which a frequency is kept, and below which
  // it is slowed whole; whether the ramp between begins and ends at whole frequencies.
  double fast_turns = 32, slow_turns = 1;
  bool truncates = true;
  // longrope only: by which each frequency is slowed, in sequences of at most original_positions
  // tokens and in longer ones; all of a sequence's tokens by the same.
  std::vector<double> short_factors, long_factors;
  double strength = 1;  // of cosines and sines
  // A query's strength grows with its place: by so much times ln(1 + the times that the original
  // positions have passed).
  double query_growth = 0;
};
// How a layer differs from the others.
struct LayerKind {
  std::int64_t window = 0;  // keys that a row sees, its own among them; 0: all before it
  bool is_rotated = true;   // false: it knows no positions
  bool is_local = false;    // it turns by local_rope where there is one
};
// rms_plus_one: files have the weight less 1. layer: mean and deviation, with a bias.
enum class NormKind : std::uint8_t { rms, rms_plus_one, layer };
enum class QkNorm : std::uint8_t { none, head, row };  // each head, or all of a row's together
enum class Activation : std::uint8_t { swiglu, geglu, gelu };  // geglu: by tanh; gelu: no gate
// What a family's layers compute, beside their sizes; defaults are Llama's.
struct LayerForm {
  const TensorNames* names = &llama_names;  // static
  NormKind norm = NormKind::rms;
  QkNorm qk_norm = QkNorm::none;
  Activation activation = Activation::swiglu;
  bool qkv_bias = false, o_bias = false, mlp_bias = false;
  bool fused_qkv = false, fused_gate_up = false;  // one matrix instead of three, or of two
  bool interleaved = false;  // of fused q, k, v each key head stands behind its query heads
  bool parallel = false;     // both halves read the layer's input
  float attention_scale = 0, attention_cap = 0;  // scale 0: 1 / sqrt(head_dim); cap 0: none
  float embedding_scale = 1, residual_scale = 1, logit_scale = 1, logit_cap = 0;

  bool has_norm(NormAt at) const { return names->norms[index_of(at)] != nullptr; }
  bool is_gated() const { return activation != Activation::gelu; }
  // Whether what a half adds to its input differs from what its last product gives.
  bool has_branch() const { return residual_scale != 1 || has_norm(NormAt::after_attention); }
};
// A decoder: grouped-query attention and an MLP, each added to its input.
struct ModelConfig : LayerForm {
  std::string architecture;  // "LlamaForCausalLM"
  std::int64_t hidden = 0, layers = 0, heads = 0, kv_heads = 0, head_dim = 0, intermediate = 0;
  std::int64_t vocab = 0, positions = 0;  // positions: max_position_embeddings
  float norm_eps = 1e-5f;
  bool tied_head = false;                              // the output head is the embedding
  double attention_dropout = 0, residual_dropout = 0;  // in training only
  RopeConfig rope;
  std::optional<RopeConfig> local_rope;  // of local layers
  std::vector<LayerKind> kinds;          // one a layer; empty: all are plain
  std::int64_t rotary_dim = 0;           // of a head's values the first so many are rotated
  LayerKind kind(std::int64_t layer) const {
    return kinds.empty() ? LayerKind() : kinds[static_cast<std::size_t>(layer)];
  }
  std::vector<std::int32_t> stop_tokens;  // eos_token_id: one or several; may be empty
};
// quant_method of a folder whose matrices are a GGUF's blocks: other programs refuse it by name.
inline constexpr const char* kairo_blocks = "kairo_blocks";
// The one list of what trainer and server compute, for whoever chooses between engines.
bool is_computed(std::string_view architecture);
std::string computed_families();  // "llama, mistral, ...", by their model_type
// Old fields (rope_theta, rope_scaling) and those of transformers 5 (rope_parameters).
// file: named in errors. invalid: unsupported or missing; says what is supported.
Result<ModelConfig> parse_model_config(const std::string& json_text, const std::string& file);
// invalid: a training would compute what the trainer does not.
Status check_training(const ModelConfig& config);
// dir/config.json. not_found, invalid.
Result<ModelConfig> load_model_config(const std::string& dir);
}  // namespace kairo::gpu
