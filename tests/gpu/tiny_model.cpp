// tests/gpu/tiny_model.cpp
#include "tests/gpu/tiny_model.h"

#include <cstdint>
#include <filesystem>
#include <list>
#include <vector>

#include "gpu/formats/files.h"
#include "gpu/formats/safetensors.h"
#include "tests/gpu/hf/tiny_tokenizer.h"

namespace kairo::gpu::test {
namespace {
constexpr std::int64_t hidden = 64, inner = 128, kv = 32, vocab = 258;
constexpr int layers = 2;

const char* const config = R"({
 "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64,
 "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
 "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 258, "max_position_embeddings": 2048,
 "rms_norm_eps": 1e-06, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": true,
 "bos_token_id": 256, "eos_token_id": 257
})";

const char* const phi3_config = R"({
 "_name_or_path": "tiny", "architectures": ["Phi3ForCausalLM"], "attention_bias": false,
 "attention_dropout": 0.0, "auto_map": {"AutoConfig": "configuration_phi3.Phi3Config",
 "AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM"}, "bos_token_id": 256, "embd_pdrop": 0.0,
 "eos_token_id": 257, "hidden_act": "silu", "hidden_size": 64, "initializer_range": 0.02,
 "intermediate_size": 128, "max_position_embeddings": 131072, "model_type": "phi3",
 "num_attention_heads": 4, "num_hidden_layers": 2, "num_key_value_heads": 4,
 "original_max_position_embeddings": 4096, "pad_token_id": 257, "resid_pdrop": 0.0,
 "rms_norm_eps": 1e-05, "rope_scaling": {"long_factor": [1.1, 1.3, 2.1, 4.5, 9.0, 20.0, 40.0, 63.0],
 "short_factor": [1.0, 1.0, 1.1, 1.2, 1.5, 1.9, 2.4, 2.8], "type": "su"}, "rope_theta": 10000.0,
 "sliding_window": 262144, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
 "transformers_version": "4.40.2", "use_cache": true, "vocab_size": 258
})";

class Tensors {
 public:
  void add(const std::string& name, std::vector<std::int64_t> shape) {
    std::int64_t count = 1;
    for (const std::int64_t n : shape) count *= n;
    values_.emplace_back(static_cast<std::size_t>(count));
    const bool is_norm = shape.size() == 1;
    for (float& v : values_.back()) v = is_norm ? 1.0f : 0.08f * next();
    list_.push_back({name, std::move(shape), values_.back()});
  }
  const std::vector<TensorToWrite>& list() const { return list_; }

 private:
  float next() {  // splitmix64, uniform in [-1, 1)
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return static_cast<float>(static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-52 - 1.0);
  }
  std::uint64_t state_ = 7;
  std::list<std::vector<float>> values_;  // a list: spans into it stay
  std::vector<TensorToWrite> list_;
};
Status write_model(const std::string& folder, const Tensors& tensors, const char* its_config) {
  write_tiny_tokenizer(folder, chatml);
  TRY(write_tensors(folder + "/model.safetensors", tensors.list()));
  return write_file(folder + "/config.json", its_config);
}
}  // namespace

Status write_tiny_model(const std::string& folder) {
  std::filesystem::create_directories(folder);
  Tensors tensors;
  tensors.add("model.embed_tokens.weight", {vocab, hidden});
  tensors.add("model.norm.weight", {hidden});
  for (int i = 0; i < layers; ++i) {
    const std::string at = "model.layers." + std::to_string(i) + ".";
    tensors.add(at + "input_layernorm.weight", {hidden});
    tensors.add(at + "post_attention_layernorm.weight", {hidden});
    tensors.add(at + "self_attn.q_proj.weight", {hidden, hidden});
    tensors.add(at + "self_attn.k_proj.weight", {kv, hidden});
    tensors.add(at + "self_attn.v_proj.weight", {kv, hidden});
    tensors.add(at + "self_attn.o_proj.weight", {hidden, hidden});
    tensors.add(at + "mlp.gate_proj.weight", {inner, hidden});
    tensors.add(at + "mlp.up_proj.weight", {inner, hidden});
    tensors.add(at + "mlp.down_proj.weight", {hidden, inner});
  }
  return write_model(folder, tensors, config);
}
Status write_tiny_phi3(const std::string& folder) {
  std::filesystem::create_directories(folder);
  Tensors tensors;
  for (const char* table : {"model.embed_tokens.weight", "lm_head.weight"})
    tensors.add(table, {vocab, hidden});
  tensors.add("model.norm.weight", {hidden});
  for (int i = 0; i < layers; ++i) {
    const std::string at = "model.layers." + std::to_string(i) + ".";
    tensors.add(at + "input_layernorm.weight", {hidden});
    tensors.add(at + "post_attention_layernorm.weight", {hidden});
    tensors.add(at + "self_attn.qkv_proj.weight", {3 * hidden, hidden});
    tensors.add(at + "self_attn.o_proj.weight", {hidden, hidden});
    tensors.add(at + "mlp.gate_up_proj.weight", {2 * inner, hidden});
    tensors.add(at + "mlp.down_proj.weight", {hidden, inner});
  }
  return write_model(folder, tensors, phi3_config);
}
}  // namespace kairo::gpu::test
