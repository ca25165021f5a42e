// gpu/formats/model_config.h - the architecture that a Hugging Face config.json describes.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

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
};
// How a layer differs from the others.
struct LayerKind {
  std::int64_t window = 0;  // keys that a row sees, its own among them; 0: all before it
  bool is_rotated = true;   // false: it knows no positions
};
// A decoder: pre-RMSNorm, SwiGLU, grouped-query attention.
struct ModelConfig {
  std::string architecture;  // "LlamaForCausalLM"
  std::int64_t hidden = 0, layers = 0, heads = 0, kv_heads = 0, head_dim = 0, intermediate = 0;
  std::int64_t vocab = 0, positions = 0;  // positions: max_position_embeddings
  float norm_eps = 1e-5f;
  bool tied_head = false;                              // the output head is the embedding
  double attention_dropout = 0, residual_dropout = 0;  // in training only
  RopeConfig rope;
  std::vector<LayerKind> kinds;  // one a layer; empty: all are plain
  bool qkv_bias = false, o_bias = false, mlp_bias = false;
  bool fused = false;           // q, k, v are one matrix, gate and up another
  std::int64_t rotary_dim = 0;  // of a head's values the first so many are rotated
  LayerKind kind(std::int64_t layer) const {
    return kinds.empty() ? LayerKind() : kinds[static_cast<std::size_t>(layer)];
  }
  std::vector<std::int32_t> stop_tokens;  // eos_token_id: one or several; may be empty
};
// The one list of whose presets trainer and server take, for whoever chooses between engines.
bool is_offered_architecture(std::string_view name);
std::string offered_architectures();  // "LlamaForCausalLM, ..."
// Old fields (rope_theta, rope_scaling) and those of transformers 5 (rope_parameters).
// file: named in errors. invalid: unsupported or missing; says what is supported.
Result<ModelConfig> parse_model_config(const std::string& json_text, const std::string& file);
// invalid: a training would compute what the trainer does not.
Status check_training(const ModelConfig& config);
// dir/config.json. not_found, invalid.
Result<ModelConfig> load_model_config(const std::string& dir);
}  // namespace kairo::gpu
