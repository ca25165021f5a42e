// gpu/formats/gguf_keys.h - what a GGUF's metadata says of the computation; private to the import.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "gpu/formats/gguf.h"

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
// Every llama.* key is known: those that config.json has no field for must say what is computed
// anyway, and those that llama.cpp may write one day are refused by name. So are tokens that
// llama.cpp puts around every text.
Status check_keys(const GgufHeader& header);
// config.json's rope_scaling: null, or linear with its factor. invalid: another kind, by name.
Result<nlohmann::ordered_json> rope_scaling_of(const GgufHeader& header);
}  // namespace kairo::gpu
