// gpu/serve/adapter_request.cpp
#include "gpu/serve/adapter_request.h"

#include <algorithm>
#include <filesystem>

#include "gpu/serve/fields.h"
#include "gpu/serve/reply.h"

namespace kairo::gpu {
namespace {
constexpr std::size_t name_bytes_max = 256, path_bytes_max = 4096;

void needed_text(Fields& fields, const char* key, std::string& out, std::size_t bytes_max) {
  fields.text(key, out);
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (out.empty() || out.size() > bytes_max || std::ranges::any_of(out, is_control))
    fields.wrong(key, "must be a text of 1 to " + std::to_string(bytes_max) +
                          " bytes without control characters");
}
Result<AdapterRequest> parse(std::string_view body, bool loads) {
  const auto object = parse_json_object(body);
  if (!object.ok()) return bad("the body", object.error().what);
  Fields fields(object.value());
  AdapterRequest out;
  needed_text(fields, "lora_name", out.name, name_bytes_max);
  if (loads) {
    needed_text(fields, "lora_path", out.path, path_bytes_max);
    fields.flag("load_inplace", out.in_place);
    fields.only("is_3d_lora_weight", false);
  }
  TRY(fields.status());
  return out;
}
}  // namespace

Result<AdapterRequest> parse_load_adapter(std::string_view body) {
  return parse(body, true);
}
Result<AdapterRequest> parse_unload_adapter(std::string_view body) {
  return parse(body, false);
}

Result<std::string> folder_below(const std::string& root, const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code failed;
  const fs::path top = fs::canonical(root, failed);
  if (failed) return Error{Code::not_found, "the adapters' folder is not there"};
  const fs::path folder = fs::canonical(top / path, failed);
  if (failed || !fs::is_directory(folder, failed))
    return Error{Code::not_found, "lora_path: there is no folder " + path};
  const auto [end, at] = std::mismatch(top.begin(), top.end(), folder.begin(), folder.end());
  if (end != top.end())
    return Error{Code::invalid, "lora_path: " + path +
                                    " is not below the folder that the server was given for "
                                    "adapters (--runtime-adapters)"};
  return folder.string();
}

std::string adapter_error_reply(const Error& error) {
  const int status = http_status(error.code);
  const char* type = status == 404   ? "NotFoundError"
                     : status == 400 ? "InvalidUserInput"
                                     : "InternalServerError";
  return nlohmann::ordered_json{
      {"error", {{"message", error.what}, {"type", type}, {"param", nullptr}, {"code", status}}}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}
}  // namespace kairo::gpu
