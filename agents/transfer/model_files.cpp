// agents/transfer/model_files.cpp - by name.
#include "agents/transfer/model_files.h"

#include <algorithm>
#include <array>

namespace kairo::transfer {
bool is_second_copy(std::string_view name) {
  return name.starts_with("consolidated");
}
bool is_model_file(std::string_view name) {
  static constexpr std::array<std::string_view, 16> exact = {"config.json",
                                                             "generation_config.json",
                                                             "tokenizer.json",
                                                             "tokenizer_config.json",
                                                             "special_tokens_map.json",
                                                             "added_tokens.json",
                                                             "tokenizer.model",
                                                             "vocab.json",
                                                             "vocab.txt",
                                                             "merges.txt",
                                                             "model.safetensors.index.json",
                                                             "preprocessor_config.json",
                                                             "processor_config.json",
                                                             "video_preprocessor_config.json",
                                                             "tekken.json",
                                                             "params.json"};
  constexpr std::size_t name_max = 200;
  if (name.empty() || name.size() > name_max || name.starts_with('.') ||
      name.find('/') != std::string_view::npos)
    return false;
  const bool is_plain = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  });
  return is_plain && (std::find(exact.begin(), exact.end(), name) != exact.end() ||
                      name.starts_with("chat_template.") || name.ends_with(".tiktoken") ||
                      name.ends_with(".safetensors"));
}
Status check_is_whole(const std::vector<std::string>& names, const std::string& source) {
  const auto has = [&](std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  std::string lacks;
  for (const char* name : {"config.json", "tokenizer.json"})
    if (!has(name)) lacks += (lacks.empty() ? "" : ", ") + std::string(name);
  if (std::none_of(names.begin(), names.end(),
                   [](const std::string& name) { return name.ends_with(".safetensors"); }))
    lacks += std::string(lacks.empty() ? "" : ", ") + "*.safetensors";
  if (lacks.empty()) return ok();
  return Error{Code::invalid, source + " has no " + lacks +
                                  ": kairo's engine needs config.json, tokenizer.json and "
                                  "*.safetensors; put a converted model into the models folder"};
}
}  // namespace kairo::transfer
