// tests/gpu/formats/base_config.h - a small config.json that tests change.
#pragma once
#include <nlohmann/json.hpp>

namespace kairo::gpu::test {
inline nlohmann::json base() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"hidden_size", 64},
          {"intermediate_size", 96},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"max_position_embeddings", 256},
          {"vocab_size", 160},
          {"rms_norm_eps", 1e-5},
          {"eos_token_id", 2},
          {"rope_theta", 10000.0}};
}
}  // namespace kairo::gpu::test
