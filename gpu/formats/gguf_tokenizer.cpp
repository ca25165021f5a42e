// gpu/formats/gguf_tokenizer.cpp - byte-level vocabularies by their pre-tokenizer, and
// sentencepiece's, whose merges follow from scores.
#include "gpu/formats/gguf_tokenizer.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "gpu/formats/gguf_keys.h"

namespace kairo::gpu {
namespace {
using Json = nlohmann::ordered_json;
constexpr std::int64_t unknown_kind = 2, control = 3, user_defined = 4, unused = 5;
constexpr std::size_t piece_bytes_max = 256;  // of sentencepiece; longer ones have no merges
const std::string ggml = "tokenizer.ggml.", space = "\xe2\x96\x81";  // U+2581

// How a text is cut before merges are looked at. Qwen takes digits one by one, Llama 3 by threes.
struct Pre {
  const char *name, *regex;  // null: each digit alone, then ByteLevel's own
  bool normalises, whole_words_first, adds_bos;
};
#define KAIRO_WORDS(digits)                                            \
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits \
  "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
constexpr Pre pres[] = {{"smollm", nullptr, false, false, false},
                        {"qwen2", KAIRO_WORDS("\\p{N}"), true, false, false},
                        {"llama-bpe", KAIRO_WORDS("\\p{N}{1,3}"), false, true, true}};
#undef KAIRO_WORDS
const Pre* pre_of(const std::string& name) {
  for (const Pre& pre : pres)
    if (pre.name == name) return &pre;
  return nullptr;
}

Json byte_level(bool prefix, bool regex) {
  return {{"type", "ByteLevel"},
          {"trim_offsets", true},
          {"use_regex", regex},
          {"add_prefix_space", prefix}};
}
Json pre_tokenizer(const Pre& pre) {
  const bool has_regex = pre.regex != nullptr;
  const Json cut = has_regex ? Json{{"type", "Split"},
                                    {"pattern", {{"Regex", pre.regex}}},
                                    {"behavior", "Isolated"},
                                    {"invert", false}}
                             : Json{{"type", "Digits"}, {"individual_digits", true}};
  return {{"type", "Sequence"},
          {"pretokenizers", Json::array({cut, byte_level(false, !has_regex)})}};
}
Json replace(const std::string& from, const std::string& to) {
  return {{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
}

// Sentencepiece joins the pair whose whole has the best score: of each token every cut in two
// tokens, best first. Of equal ones the longer first part, then the longer second; then the order
// of the tokens.
std::vector<std::pair<std::string, std::string>> merges_of(const GgufVocabulary& v) {
  struct Merge {
    double score;
    std::size_t first_length, second_length;
    std::size_t token, first, second;
    std::size_t cut;
  };
  std::map<std::string_view, std::size_t> ids;
  for (std::size_t i = 0; i < v.tokens.size(); ++i) ids.emplace(v.tokens[i], i);
  const auto characters = [](std::string_view text) {
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
  };
  std::vector<Merge> all;
  for (std::size_t t = 0; t < v.tokens.size(); ++t) {
    const std::string_view token = v.tokens[t];
    if (token.size() > piece_bytes_max) continue;
    const std::size_t begin = all.size();
    for (std::size_t cut = 1; cut < token.size(); ++cut) {
      if ((token[cut] & 0xC0) == 0x80) continue;  // within a character
      const auto first = ids.find(token.substr(0, cut)), second = ids.find(token.substr(cut));
      if (first == ids.end() || second == ids.end()) continue;
      all.push_back({v.scores[t], characters(first->first), characters(second->first), t,
                     first->second, second->second, cut});
    }
    std::sort(all.begin() + static_cast<std::ptrdiff_t>(begin), all.end(),
              [](const Merge& a, const Merge& b) {
                return std::pair(a.first, a.second) < std::pair(b.first, b.second);
              });
  }
  std::stable_sort(all.begin(), all.end(), [](const Merge& a, const Merge& b) {
    return std::tuple(a.score, a.first_length, a.second_length) >
           std::tuple(b.score, b.first_length, b.second_length);
  });
  std::vector<std::pair<std::string, std::string>> out;
  out.reserve(all.size());
  for (const Merge& m : all)
    out.emplace_back(v.tokens[m.token].substr(0, m.cut), v.tokens[m.token].substr(m.cut));
  return out;
}
Result<std::vector<std::pair<std::string, std::string>>> written_merges(const GgufVocabulary& v) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& merge : v.merges) {
    const auto at = merge.find(' ');
    if (at == std::string::npos || merge.find(' ', at + 1) != std::string::npos)
      return Error{Code::corrupt, "tokenizer.ggml.merges: a merge is not two tokens"};
    out.emplace_back(merge.substr(0, at), merge.substr(at + 1));
  }
  return out;
}
Json special_tokens(const GgufVocabulary& v, bool strips_after_special) {
  Json out = Json::array();
  for (std::size_t i = 0; i < v.tokens.size(); ++i) {
    const std::int64_t kind = v.kinds[i];
    if (kind != control && kind != user_defined && kind != unknown_kind) continue;
    const std::string& text = v.tokens[i];
    const bool strips = strips_after_special && text.starts_with("<|") && text != "<|endoftext|>";
    out.push_back({{"id", i},
                   {"content", text},
                   {"single_word", false},
                   {"lstrip", false},
                   {"rstrip", strips},
                   {"normalized", false},
                   {"special", kind != user_defined}});
  }
  return out;
}
Json begin_of_text(const GgufVocabulary& v) {
  if (!v.adds_bos || !v.bos) return nullptr;
  const std::string& text = v.tokens[static_cast<std::size_t>(*v.bos)];
  const auto special = Json{{"SpecialToken", {{"id", text}, {"type_id", 0}}}};
  const auto sequence = [](const char* id, int type) {
    return Json{{"Sequence", {{"id", id}, {"type_id", type}}}};
  };
  return {
      {"type", "TemplateProcessing"},
      {"single", Json::array({special, sequence("A", 0)})},
      {"pair", Json::array({special, sequence("A", 0), special, sequence("B", 1)})},
      {"special_tokens",
       {{text, {{"id", text}, {"ids", Json::array({*v.bos})}, {"tokens", Json::array({text})}}}}}};
}
}  // namespace

Result<GgufVocabulary> vocabulary_of(const GgufHeader& header) {
  GgufVocabulary out;
  const auto model = TRY(get<std::string>(header, ggml + "model"));
  const bool is_spm = model == "llama";
  if (!is_spm && model != "gpt2")
    return Error{Code::invalid, ggml + "model is \"" + model.substr(0, 40) +
                                    "\"; imported are \"gpt2\" and \"llama\""};
  out.kind = is_spm ? "spm" : TRY(get<std::string>(header, ggml + "pre"));
  const Pre* pre = pre_of(out.kind);
  if (!is_spm && pre == nullptr)
    return Error{Code::invalid, ggml + "pre is \"" + out.kind.substr(0, 40) +
                                    "\"; imported are \"smollm\", \"qwen2\" and \"llama-bpe\""};
  out.tokens = TRY(get<std::vector<std::string>>(header, ggml + "tokens"));
  out.kinds = TRY(get<std::vector<std::int64_t>>(header, ggml + "token_type"));
  if (!is_spm) out.merges = TRY(get<std::vector<std::string>>(header, ggml + "merges"));
  if (is_spm) out.scores = TRY(get<std::vector<double>>(header, ggml + "scores"));
  if (out.kinds.size() != out.tokens.size() || (is_spm && out.scores.size() != out.tokens.size()))
    return Error{Code::corrupt, "tokenizer.ggml: its lists are not as long as the tokens"};
  for (const auto& [name, to] : {std::pair{"bos", &out.bos},
                                 {"eos", &out.eos},
                                 {"padding", &out.padding},
                                 {"unknown", &out.unknown}}) {
    const std::string key = ggml + name + "_token_id";
    if (!header.metadata.contains(key)) continue;
    const auto found = TRY(get<std::int64_t>(header, key));
    if (found < 0 || found >= static_cast<std::int64_t>(out.tokens.size()))
      return Error{Code::corrupt, key + " " + std::to_string(found) + " is not a token"};
    *to = found;
  }
  if (!out.eos) return Error{Code::invalid, "the file's value " + ggml + "eos_token_id is absent"};
  const auto flag = [&](const char* name, bool absent) -> Result<bool> {
    if (!header.metadata.contains(ggml + name)) return absent;
    return TRY(get<std::int64_t>(header, ggml + name)) != 0;
  };
  out.adds_bos = TRY(flag("add_bos_token", is_spm || pre->adds_bos));
  out.adds_space = TRY(flag("add_space_prefix", is_spm));
  return out;
}

Result<Json> tokenizer_json(const GgufVocabulary& v, bool strips_after_special) {
  const bool is_spm = v.kind == "spm";
  const Pre* pre = pre_of(v.kind);
  Json merges = Json::array();
  Json::object_t vocab;  // in the order of the ids; push_back: their uniqueness is the file's
  for (std::size_t i = 0; i < v.tokens.size(); ++i)
    if (v.kinds[i] != unused) vocab.push_back({v.tokens[i], i});
  for (auto& [first, second] : is_spm ? merges_of(v) : TRY(written_merges(v)))
    merges.push_back({std::move(first), std::move(second)});
  Json normalizer, pre_tokens, decoder = byte_level(true, true), unknown;
  if (is_spm) {
    Json steps = Json::array({replace(" ", space)});
    if (v.adds_space) steps.insert(steps.begin(), Json{{"type", "Prepend"}, {"prepend", space}});
    normalizer = {{"type", "Sequence"}, {"normalizers", steps}};
    Json back = Json::array({replace(space, " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}});
    if (v.adds_space)
      back.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
    decoder = {{"type", "Sequence"}, {"decoders", back}};
    if (v.unknown) unknown = v.tokens[static_cast<std::size_t>(*v.unknown)];
  } else {
    if (pre->normalises) normalizer = {{"type", "NFC"}};
    pre_tokens = pre_tokenizer(*pre);
  }
  return Json{{"version", "1.0"},
              {"truncation", nullptr},
              {"padding", nullptr},
              {"added_tokens", special_tokens(v, strips_after_special)},
              {"normalizer", normalizer},
              {"pre_tokenizer", pre_tokens},
              {"post_processor", begin_of_text(v)},
              {"decoder", decoder},
              {"model",
               {{"type", "BPE"},
                {"dropout", nullptr},
                {"unk_token", unknown},
                {"continuing_subword_prefix", nullptr},
                {"end_of_word_suffix", nullptr},
                {"fuse_unk", is_spm},
                {"byte_fallback", is_spm},
                {"ignore_merges", pre != nullptr && pre->whole_words_first},
                {"vocab", Json(std::move(vocab))},
                {"merges", merges}}}};
}

Json tokenizer_config_json(const GgufHeader& header, const GgufVocabulary& v,
                           std::int64_t context) {
  // Not GPT2Tokenizer or LlamaTokenizer: transformers 5 would make pre-tokenizers of its own.
  Json out = {{"tokenizer_class", "PreTrainedTokenizerFast"},
              {"clean_up_tokenization_spaces", false},
              {"model_max_length", context}};
  for (const auto& [name, id] : {std::pair{"unk_token", v.unknown},
                                 {"bos_token", v.bos},
                                 {"eos_token", v.eos},
                                 {"pad_token", v.padding}})
    if (id) out[name] = v.tokens[static_cast<std::size_t>(*id)];
  if (const auto chat = get<std::string>(header, "tokenizer.chat_template"); chat.ok())
    out["chat_template"] = chat.value();
  return out;
}
}  // namespace kairo::gpu
