// tests/gpu/tiny_model.h - a random two-layer Llama with a byte tokenizer, the same bytes every
// time.
#pragma once
#include <string>

#include "schemas/base/result.h"

namespace kairo::gpu::test {
// Writes config.json, model.safetensors and the tokenizer; makes the folder.
Status write_tiny_model(const std::string& folder);
}  // namespace kairo::gpu::test
