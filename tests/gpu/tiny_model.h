// tests/gpu/tiny_model.h - random two-layer models with a byte tokenizer, the same bytes every
// time.
#pragma once
#include <string>

#include "schemas/base/result.h"

namespace kairo::gpu::test {
// Writes config.json, model.safetensors and the tokenizer; makes the folder. A Llama.
Status write_tiny_model(const std::string& folder);
// The same as a Phi-3 whose config.json has what that of phi-3-mini-128k-instruct has: fused
// matrices, longrope in the form of its first files, a window, tokens at the vocabulary's end.
Status write_tiny_phi3(const std::string& folder);
}  // namespace kairo::gpu::test
