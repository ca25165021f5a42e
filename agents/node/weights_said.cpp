// agents/node/weights_said.cpp - config.json's quantization_config; sizes of files.
#include "agents/node/weights_said.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace kairo::node {
namespace fs = std::filesystem;
namespace {
constexpr std::size_t config_bytes_max = 1 << 20, words_max = 200;
}  // namespace

std::string blocks_of(const std::string& folder) {
  std::ifstream in(folder + "/config.json", std::ios::binary);
  std::string text(config_bytes_max + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > config_bytes_max) return "";
  const auto config = nlohmann::json::parse(text, nullptr, false);
  const auto at = nlohmann::json::json_pointer("/quantization_config");
  if (!config.is_object() || !config.contains(at) || !config[at].is_object()) return "";
  const auto said = [&](const char* key) {
    const auto found = config[at].find(key);
    return found != config[at].end() && found->is_string() ? found->get<std::string>() : "";
  };
  if (said("quant_method") != "kairo_blocks") return "";  // kairo_blocks of gpu/formats
  const std::string kinds = said("matrices");
  return kinds.empty() || kinds.size() > words_max ? "blocks" : kinds;
}

std::uint64_t weights_bytes(const std::string& folder) {
  std::uint64_t bytes = 0;
  std::error_code error;
  for (const auto& file : fs::directory_iterator(folder, error)) {
    if (file.path().extension() != ".safetensors") continue;
    const std::uintmax_t size = file.file_size(error);
    if (!error) bytes += size;
  }
  return bytes;
}
}  // namespace kairo::node
