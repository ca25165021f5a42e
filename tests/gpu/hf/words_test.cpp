// tests/gpu/hf/words_test.cpp - proves: tokens found word by word, and their ranges, are those of
// the tokenizers crate. One added token that minds its surroundings, and never occurs, sends the
// same tokenizer through the crate.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "gpu/formats/files.h"
#include "gpu/hf/tokenizer.h"
#include "tests/gpu/hf/tiny_tokenizer.h"
#include "tests/gpu/support.h"

using namespace kairo;
using namespace kairo::gpu;

namespace {
using Json = nlohmann::ordered_json;
const std::string qwen =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string llama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

Json level(bool use_regex, bool trims = false, bool prefix = false) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", prefix},
          {"trim_offsets", trims},
          {"use_regex", use_regex}};
}
Json pattern(const std::string& regex) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", regex}}},
          {"behavior", "Isolated"},
          {"invert", false}};
}
Json digits(bool each) {
  return {{"type", "Digits"}, {"individual_digits", each}};
}
Json sequence(const char* parts, const Json& items) {
  return {{"type", "Sequence"}, {parts, items}};
}
Json added(int id, const std::string& text, bool normalized, bool lstrip) {
  return {{"id", id},        {"content", text},          {"single_word", false}, {"lstrip", lstrip},
          {"rstrip", false}, {"normalized", normalized}, {"special", true}};
}
Json begin_of_text() {
  const Json start = {{"SpecialToken", {{"id", "<|im_start|>"}, {"type_id", 0}}}};
  const Json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  return {
      {"type", "TemplateProcessing"},
      {"single", {start, text}},
      {"pair", {start, text, {{"Sequence", {{"id", "B"}, {"type_id", 1}}}}}},
      {"special_tokens",
       {{"<|im_start|>", {{"id", "<|im_start|>"}, {"ids", {256}}, {"tokens", {"<|im_start|>"}}}}}}};
}
struct Kind {
  const char* name;
  Json pre_tokenizer, normalizer, post_processor;
  std::string missing;  // letters that the vocabulary has not
};
std::vector<Kind> kinds() {
  return {
      {"GPT-2", level(true), nullptr, level(true, true), ""},
      {"GPT-2 whose first blank stays", level(true), nullptr, level(true, true, true), ""},
      {"SmolLM2", sequence("pretokenizers", {digits(true), level(true)}), nullptr, nullptr,
       "\x01Z"},
      {"runs of digits", sequence("pretokenizers", {digits(false), level(true)}), nullptr, nullptr,
       ""},
      {"Qwen2",
       sequence("pretokenizers", {pattern(qwen), level(false)}),
       {{"type", "NFC"}},
       level(false, false),
       ""},
      {"Llama 3", sequence("pretokenizers", {pattern(llama3), level(false)}), nullptr,
       sequence("processors", {level(false, true), begin_of_text()}), ""},
      {"several patterns",
       sequence("pretokenizers", {pattern(R"(\p{N}{1,3})"), pattern("[\u4e00-\u9fa5]+"),
                                  pattern(R"(\s+$)"), level(false)}),
       nullptr, begin_of_text(), ""},
      {"a pattern that needs to go back",
       sequence("pretokenizers", {pattern(R"(\p{L}++(?=\p{N})|\p{L}|\s+)"), level(false)}), nullptr,
       nullptr, ""},
      {"a blank before the text", level(true, false, true), nullptr, nullptr, ""},
  };
}
// plain: the tokenizer as such; else with the token that never occurs.
Tokenizer make(const Kind& kind, bool plain) {
  const test::TempFolder folder;
  test::write_tiny_tokenizer(folder.path(), "");
  auto json = Json::parse(read_file(folder.path() + "/tokenizer.json", 1 << 20).value());
  auto& vocabulary = json["model"]["vocab"];
  int id = 300;
  for (const auto& [left, right] :
       std::vector<std::pair<std::string, std::string>>{{"t", "h"},
                                                        {"th", "e"},
                                                        {"\u0120", "the"},
                                                        {"\u0120", "\u0120"},
                                                        {"\u00c3", "\u00a9"},
                                                        {"1", "2"},
                                                        {"\u010a", "\u010a"},
                                                        {"\u0120", "\u00c3"},
                                                        {"'", "s"}}) {
    vocabulary[left + right] = id++;
    json["model"]["merges"].push_back({left, right});
  }
  for (const char c : kind.missing) vocabulary.erase(std::string(1, c));
  json["pre_tokenizer"] = kind.pre_tokenizer;
  json["normalizer"] = kind.normalizer;
  json["post_processor"] = kind.post_processor;
  json["added_tokens"].push_back(added(400, " two words ", true, false));
  json["added_tokens"].push_back(added(401, "<|im|>", false, false));
  if (!plain) json["added_tokens"].push_back(added(402, "<|never|>", false, true));
  REQUIRE(write_file(folder.path() + "/tokenizer.json", json.dump()).ok());
  auto loaded = Tokenizer::load(folder.path());
  REQUIRE(loaded.ok());
  return std::move(loaded).value();
}
std::string random_text(std::mt19937& random) {
  const std::vector<std::string> parts = {" ",
                                          " ",
                                          "  ",
                                          "\n",
                                          "\r\n",
                                          "\t",
                                          "the",
                                          "The",
                                          "It's",
                                          "'LL",
                                          "12",
                                          "1234",
                                          "x",
                                          "Z",
                                          "!?",
                                          "\u00e9",
                                          "e\u0301",
                                          " \u00e9",
                                          "\u4f60\u597d",
                                          "\U0001f469\u200d\U0001f9d1",
                                          "\u00a0",
                                          "\u3000",
                                          "\u00bd",
                                          "\u0663",
                                          "<|im_start|>",
                                          "<|im_end|>",
                                          "<|im|>",
                                          "<|im",
                                          " two words ",
                                          " two word",
                                          "\u2028",
                                          "\u0130",
                                          std::string(1, '\0'),
                                          "\x7f",
                                          "\u0085",
                                          "a\u0323\u0307",
                                          "\ufeff",
                                          "ab1c",
                                          std::string(70, 't'),
                                          "{\"k\": [1.5e-3]}",
                                          "\ud7a3",
                                          "\u1100\u1161"};
  std::string out;
  for (std::size_t n = random() % 12; n > 0; --n) out += parts[random() % parts.size()];
  return out;
}
}  // namespace

TEST_CASE("words: tokens and ranges are those of the tokenizers crate") {
  for (const auto& kind : kinds()) {
    CAPTURE(kind.name);
    const Tokenizer words = make(kind, true), crate = make(kind, false);
    std::mt19937 random(1);
    for (int round = 0; round < 400; ++round) {
      const std::string text = random_text(random);
      CAPTURE(text);
      const auto ours = words.encode_with_ranges(text, false),
                 theirs = crate.encode_with_ranges(text, false);
      REQUIRE(ours.ok());
      REQUIRE(theirs.ok());
      REQUIRE(ours.value().tokens == theirs.value().tokens);
      REQUIRE(ours.value().ranges == theirs.value().ranges);
      REQUIRE(words.encode(text, false).value() == ours.value().tokens);
      REQUIRE(words.encode(text, true).value() == crate.encode(text, true).value());
    }
  }
}

TEST_CASE("words: more words than are kept") {
  const Kind kind = kinds()[0];
  const Tokenizer words = make(kind, true), crate = make(kind, false);
  std::string text;
  for (int i = 0; i < 60'000; ++i) {
    text += ' ';
    for (int rest = i + 1; rest > 0; rest /= 26) text += static_cast<char>('a' + rest % 26);
  }
  const auto tokens = crate.encode(text, false).value();
  CHECK((words.encode(text, false).value() == tokens));
  CHECK((words.encode(text, false).value() == tokens));
}
