// gpu/formats/gguf_tokenizer.h - a GGUF's vocabulary as the files of Hugging Face's tokenizers.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "gpu/formats/gguf.h"

namespace kairo::gpu {
struct GgufVocabulary {
  std::string kind;  // tokenizer.ggml.pre of byte-level ones: smollm, qwen2, llama-bpe; else "spm"
  std::vector<std::string> tokens, merges;
  std::vector<std::int64_t> kinds;
  std::vector<double> scores;  // of "spm": from which its merges follow
  std::optional<std::int64_t> bos, eos, padding, unknown;
  bool adds_bos = false, adds_space = false;
};
// invalid: a kind of tokenizer that is not imported; names those that are. corrupt: lists of
// different lengths, numbers that are no tokens.
Result<GgufVocabulary> vocabulary_of(const GgufHeader& header);
// strips_after_special: as GgufFamily's. corrupt: a merge that is not two tokens.
Result<nlohmann::ordered_json> tokenizer_json(const GgufVocabulary& v, bool strips_after_special);
// context: what a text may have of tokens.
nlohmann::ordered_json tokenizer_config_json(const GgufHeader& header, const GgufVocabulary& v,
                                             std::int64_t context);
}  // namespace kairo::gpu
