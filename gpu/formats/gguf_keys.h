// gpu/formats/gguf_keys.h - what a GGUF's metadata says of the computation; private to the import.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "gpu/formats/gguf.h"
#include "gpu/formats/gguf_family.h"

namespace kairo::gpu {
// invalid: the value is absent or of another type.
template <class T>
Result<T> get(const GgufHeader& header, const std::string& key) {
  const auto at = header.metadata.find(key);
  const T* found = at == header.metadata.end() ? nullptr : std::get_if<T>(&at->second.value);
  if (found == nullptr)
    return Error{Code::invalid, "the file's value " + key + " is absent or of another type"};
  return *found;
}
// Every key of the family is known: those that config.json has no field for must say what is
// computed anyway, and those that llama.cpp may write one day are refused by name. So is a token
// that llama.cpp puts behind every text.
Status check_keys(const GgufHeader& header, const GgufFamily& family);
// What a head has of values, where the file says it; absent: hidden_size / heads.
Result<std::optional<std::int64_t>> head_dim_of(const GgufHeader& header, const GgufFamily& family);
bool is_rope_factors(const std::string& tensor);  // Phi-3's, of the single frequencies
// Adds to config.json how positions are stretched, and the window. invalid: another kind, by name.
Status add_positions(nlohmann::ordered_json& config, const GgufHeader& header,
                     const GgufFamily& family, std::span<const std::byte> file);
}  // namespace kairo::gpu
