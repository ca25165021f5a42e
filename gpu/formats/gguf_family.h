// gpu/formats/gguf_family.h - the architectures of llama.cpp that are imported, and what they call
// their tensors; private to the import.
#pragma once
#include <span>
#include <string>
#include <string_view>

#include "gpu/formats/gguf.h"

namespace kairo::gpu {
struct GgufName {
  std::string_view gguf, hf;
};
struct GgufFamily {
  std::string_view architecture;  // "llama": the prefix of its keys, too
  const char *hf_architecture, *model_type;
  std::span<const GgufName> parts;    // of a layer
  bool interleaves_heads = false;     // rows of q and k, where Hugging Face rotates halves
  bool has_biases = false;            // of q, k and v
  bool strips_after_special = false;  // blanks behind a special token are part of it
  std::string key(const std::string& name) const { return std::string(architecture) + "." + name; }
};
// invalid: an architecture that is not imported; names those that are.
Result<const GgufFamily*> gguf_family(const GgufHeader& header);
// {layer, part} of blk.<layer>.<part>.weight or .bias; empty: another name.
GgufName split_layer(std::string_view name);
// The name in a Hugging Face folder. invalid: none of the family's.
Result<std::string> hf_name(const GgufFamily& family, const std::string& name);
}  // namespace kairo::gpu
