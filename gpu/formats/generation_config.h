// gpu/formats/generation_config.h - the tokens that end an answer (Hugging Face's
// generation_config.json).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "gpu/formats/model_config.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
// eos_token_id of dir/generation_config.json, which may be absent, and of the model's config;
// ascending, each once. invalid: the file is not JSON, or a token is not in the vocabulary.
Result<std::vector<std::int32_t>> load_stop_tokens(const std::string& dir,
                                                   const ModelConfig& config);
}  // namespace kairo::gpu
