// tests/gpu/hf/tiny_tokenizer.cpp - writes the byte-level test tokenizer.
#include "tests/gpu/hf/tiny_tokenizer.h"

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "gpu/formats/files.h"

namespace kairo::gpu::test {
namespace {
using Json = nlohmann::ordered_json;

void append_utf8(std::string& out, unsigned c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else {
    out += static_cast<char>(0xC0 | (c >> 6));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}
// GPT-2's order: the printable bytes stand for themselves, the others for U+0100 and on.
Json byte_vocabulary() {
  const auto printable = [](unsigned b) {
    return (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
  };
  Json out = Json::object();
  int id = 0;
  for (unsigned b = 0; b < 256; ++b) {
    if (!printable(b)) continue;
    std::string text;
    append_utf8(text, b);
    out[text] = id++;
  }
  for (unsigned b = 0, next = 0x100; b < 256; ++b) {
    if (printable(b)) continue;
    std::string text;
    append_utf8(text, next++);
    out[text] = id++;
  }
  return out;
}
Json special(int id, const std::string& text) {
  return {{"id", id},        {"content", text},     {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}
void write(const std::string& path, const Json& json) {
  if (!write_file(path, json.dump(1)).ok()) std::abort();
}
}  // namespace

void write_tiny_tokenizer(const std::string& folder, const std::string& chat_template) {
  Json level = {{"type", "ByteLevel"},
                {"add_prefix_space", false},
                {"trim_offsets", false},
                {"use_regex", true}};
  Json vocabulary = byte_vocabulary();
  vocabulary["<|im_start|>"] = 256;
  vocabulary["<|im_end|>"] = 257;
  write(folder + "/tokenizer.json",
        {{"version", "1.0"},
         {"truncation", nullptr},
         {"padding", nullptr},
         {"added_tokens", Json::array({special(256, "<|im_start|>"), special(257, "<|im_end|>")})},
         {"normalizer", nullptr},
         {"pre_tokenizer", level},
         {"post_processor", nullptr},
         {"decoder", level},
         {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", Json::array()}}}});
  Json config = {{"eos_token", "<|im_end|>"}};
  if (!chat_template.empty()) config["chat_template"] = chat_template;
  write(folder + "/tokenizer_config.json", config);
}
}  // namespace kairo::gpu::test
