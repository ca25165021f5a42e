// gpu/formats/stored_tensors.cpp - the metadata "kairo.blocks", written and read.
#include "gpu/formats/stored_tensors.h"

#include <algorithm>

#include "gpu/formats/json.h"

namespace kairo::gpu {
namespace {
constexpr int version = 1, depth_max = 3;

Error bad_blocks(const std::string& why) {
  return {Code::corrupt, "safetensors header: __metadata__." + std::string(stored_tensors_key) +
                             " " + why + "; import the GGUF file again"};
}
Status name_one(TensorHeader& header, Stored kind, const nlohmann::json& said) {
  if (!said.is_string()) return bad_blocks("names a tensor that is no text");
  const auto& name = said.get_ref<const std::string&>();
  const auto& all = header.tensors;
  const auto at = std::lower_bound(all.begin(), all.end(), name,
                                   [](const auto& t, const auto& n) { return t.name < n; });
  if (at == all.end() || at->name != name) return bad_blocks("names " + name + ", which is absent");
  TensorInfo& tensor = header.tensors[static_cast<std::size_t>(at - all.begin())];
  if (tensor.stored) return bad_blocks("names " + name + ", which is of floats or named twice");
  if (tensor.dtype != Dtype::u8 || tensor.shape.size() != 2)
    return bad_blocks("names " + name + ", which is no matrix of U8");
  const std::int64_t bytes = tensor.shape[1];
  if (bytes % bytes_per_block(kind) != 0)
    return bad_blocks("says that " + name + " is " + std::string(name_of(kind)) + ": rows of " +
                      std::to_string(bytes) + " bytes are not whole blocks of " +
                      std::to_string(bytes_per_block(kind)));
  tensor.stored = kind;
  tensor.shape[1] = bytes / bytes_per_block(kind) * values_per_block(kind);
  return ok();
}
}  // namespace

std::string stored_tensors_text(const std::map<Stored, std::vector<std::string>>& names) {
  nlohmann::ordered_json out = {{"version", version}};
  for (const auto& [kind, of] : names) out[std::string(name_of(kind))] = of;
  return out.dump();
}

Status name_stored(TensorHeader& header) {
  const auto at = header.metadata.find(stored_tensors_key);
  if (at == header.metadata.end()) return ok();
  const auto parsed = parse_json_object(at->second, depth_max);
  if (!parsed.ok()) return bad_blocks(parsed.error().what);
  const nlohmann::json& root = parsed.value();
  if (!root.contains("version") || root["version"] != version)
    return bad_blocks("is not of version " + std::to_string(version));
  for (const auto& [name, tensors] : root.items()) {
    if (name == "version") continue;
    const auto kind = stored_named(name);
    if (!kind || !is_quantised(*kind)) return bad_blocks("names no kind of blocks: " + name);
    if (!tensors.is_array()) return bad_blocks("has no list of tensors for " + name);
    for (const auto& tensor : tensors) TRY(name_one(header, *kind, tensor));
  }
  return ok();
}
}  // namespace kairo::gpu
