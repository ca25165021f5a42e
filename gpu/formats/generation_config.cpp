// gpu/formats/generation_config.cpp
#include "gpu/formats/generation_config.h"

#include <set>

#include "gpu/formats/files.h"
#include "gpu/formats/json.h"

namespace kairo::gpu {
namespace {
using Json = nlohmann::json;
constexpr std::int64_t file_bytes_max = 1 << 20;
}  // namespace

Result<std::vector<std::int32_t>> load_stop_tokens(const std::string& dir,
                                                   const ModelConfig& config) {
  std::set<std::int32_t> out(config.stop_tokens.begin(), config.stop_tokens.end());
  const std::string file = dir + "/generation_config.json";
  const auto text = read_file(file, file_bytes_max);
  if (!text.ok() && text.error().code != Code::not_found) return text.error();
  if (text.ok()) {
    const auto parsed = parse_json_object(text.value());
    if (!parsed.ok()) return Error{Code::invalid, file + ": " + parsed.error().what};
    const Json& object = parsed.value();
    const Json eos = object.value("eos_token_id", Json());
    for (const Json& token : eos.is_array() ? eos : eos.is_null() ? Json::array() : Json{eos}) {
      if (!token.is_number_integer() || token.get<std::int64_t>() < 0 ||
          token.get<std::int64_t>() >= config.vocab)
        return Error{Code::invalid,
                     file + ": eos_token_id " + token.dump() + " is no token of the vocabulary"};
      out.insert(token.get<std::int32_t>());
    }
  }
  return std::vector<std::int32_t>(out.begin(), out.end());
}
}  // namespace kairo::gpu
