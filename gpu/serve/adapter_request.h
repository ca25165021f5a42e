// gpu/serve/adapter_request.h - vLLM's two routes that load and unload an adapter: what they ask
// for, what they answer. Source: vLLM 0.2x, docs "Dynamically serving LoRA Adapters".
#pragma once
#include <string>
#include <string_view>

#include "schemas/base/result.h"

namespace kairo::gpu {
struct AdapterRequest {
  std::string name, path;  // path: of a load, as it was sent
  bool in_place = false;   // of a load: it may take the place of one of that name
};
// POST /v1/load_lora_adapter {lora_name, lora_path, load_inplace}. invalid: field, value, remedy.
Result<AdapterRequest> parse_load_adapter(std::string_view body);
// POST /v1/unload_lora_adapter {lora_name}.
Result<AdapterRequest> parse_unload_adapter(std::string_view body);
// The folder that a path names, absolute or below `root`; links are followed. not_found: there is
// none. invalid: it is not below root.
Result<std::string> folder_below(const std::string& root, const std::string& path);
std::string adapter_error_reply(const Error& error);  // code is the number there
}  // namespace kairo::gpu
