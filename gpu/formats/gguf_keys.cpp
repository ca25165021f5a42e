// gpu/formats/gguf_keys.cpp - llama.cpp's keys for the Llama family.
#include "gpu/formats/gguf_keys.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace kairo::gpu {
namespace {
using Json = nlohmann::ordered_json;
const std::string prefix = "llama.", scaling = "llama.rope.scaling.";
// Become fields of config.json, or say nothing of the computation.
constexpr std::string_view taken[] = {"attention.head_count",
                                      "attention.head_count_kv",
                                      "attention.layer_norm_rms_epsilon",
                                      "block_count",
                                      "context_length",
                                      "embedding_length",
                                      "feed_forward_length",
                                      "rope.dimension_count",
                                      "rope.freq_base",
                                      "vocab_size"};
// What the value must be for our computation; its meaning in llama.cpp.
struct Fixed {
  std::string_view key;
  double value;
  const char* what;
};
constexpr Fixed fixed[] = {{"attention.causal", 1, "attention looks ahead"},
                           {"attention.sliding_window", 0, "attention is limited to a window"},
                           {"attention.clamp_kqv", 0, "queries, keys and values are clamped"},
                           {"attention.max_alibi_bias", 0, "positions are ALiBi's"},
                           {"attention.layer_norm_epsilon", 0, "layers have another norm"},
                           {"attention.scale", 0, "attention has a scale of its own"},
                           {"expert_count", 0, "layers have experts"},
                           {"expert_used_count", 0, "layers have experts"},
                           {"use_parallel_residual", 0, "attention and MLP run side by side"},
                           {"logit_scale", 1, "logits are scaled"},
                           {"embedding_scale", 1, "embeddings are scaled"},
                           {"residual_scale", 1, "residuals are scaled"},
                           {"attn_logit_softcapping", 0, "logits are capped"},
                           {"final_logit_softcapping", 0, "logits are capped"}};
constexpr std::string_view scaling_keys[] = {"type", "factor", "original_context_length",
                                             "finetuned", "attn_factor"};

std::optional<double> number(const GgufValue& v) {
  if (const auto* i = std::get_if<std::int64_t>(&v.value)) return static_cast<double>(*i);
  if (const auto* d = std::get_if<double>(&v.value)) return *d;
  return std::nullopt;
}
std::string shown(const GgufValue& v) {
  if (const auto* text = std::get_if<std::string>(&v.value)) {
    std::string out = text->substr(0, 40);
    for (char& c : out)
      if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) c = '?';
    return "\"" + out + "\"";
  }
  const auto n = number(v);
  if (!n) return "a list";
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", *n);
  return text;
}
Error refused(const std::string& key, const GgufValue& v, const std::string& why) {
  return {Code::invalid, key + " is " + shown(v) + ": " + why};
}
Status check_llama(const GgufHeader& header, const std::string& key, const GgufValue& v) {
  const std::string_view name = std::string_view(key).substr(prefix.size());
  if (std::ranges::find(taken, name) != std::end(taken) || key.starts_with(scaling)) return ok();
  if (name == "rope.scale_linear") return ok();  // rope_scaling_of reads it
  if (name == "attention.key_length" || name == "attention.value_length") {
    const auto rotated = TRY(get<std::int64_t>(header, "llama.rope.dimension_count"));
    if (number(v) == static_cast<double>(rotated)) return ok();
    return refused(
        key, v,
        "only heads that are rotated whole (" + std::to_string(rotated) + " values) are imported");
  }
  const auto* f = std::ranges::find(fixed, name, &Fixed::key);
  if (f == std::end(fixed))
    return refused(key, v, "it is not known here and may change what the model computes");
  if (number(v) == f->value) return ok();
  return refused(key, v, std::string(f->what) + ", which is not supported");
}
// A positive number under the key, as the decimal that the file's f32 was made from; else absent.
Result<double> factor_of(const GgufHeader& header, const std::string& key, double absent) {
  const auto at = header.metadata.find(key);
  if (at == header.metadata.end()) return absent;
  const auto n = number(at->second);
  if (!n || !(*n >= 0 && *n < 1e6)) return refused(key, at->second, "it must be a factor");
  return std::strtod(shown(at->second).c_str(), nullptr);
}
}  // namespace

Status check_keys(const GgufHeader& header) {
  for (const auto& [key, value] : header.metadata) {
    if (key.starts_with(prefix)) TRY(check_llama(header, key, value));
    for (const auto* around : {"tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token",
                               "tokenizer.ggml.add_sep_token", "tokenizer.ggml.add_space_prefix"})
      if (key == around && number(value) != 0.0)
        return refused(key, value, "the tokenizer that is written adds nothing to a text");
    if (key.starts_with("adapter.") || (key == "general.type" && shown(value) != "\"model\""))
      return refused(key, value, "only whole models are imported");
    if (key == "split.count" && number(value) > 1.0)
      return refused(key, value, "merge the parts first (llama-gguf-split --merge)");
  }
  for (const auto& t : header.tensors)
    if (t.name.starts_with("rope_freqs") || t.name.starts_with("rope_factors"))
      return Error{Code::invalid, "tensor " + t.name +
                                      ": factors of the single frequencies (Llama 3.1's scaling) "
                                      "are not imported: take the model's own files"};
  return ok();
}

// llama.cpp: a factor without a type is linear; 0 or 1 scales nothing.
Result<Json> rope_scaling_of(const GgufHeader& header) {
  std::string type = "linear";
  if (header.metadata.contains(scaling + "type"))
    type = TRY(get<std::string>(header, scaling + "type"));
  if (type == "none") return Json(nullptr);
  for (const auto& [key, value] : header.metadata)
    if (key.starts_with(scaling) &&
        std::ranges::find(scaling_keys, std::string_view(key).substr(scaling.size())) ==
            std::end(scaling_keys) &&
        number(value) != 0.0)
      return refused(key, value, "it is not known here and may change what the model computes");
  if (type != "linear")
    return Error{Code::invalid, scaling + "type is \"" + type.substr(0, 40) +
                                    "\"; only \"none\" and \"linear\" are imported"};
  const double old = TRY(factor_of(header, "llama.rope.scale_linear", 0));
  const double factor = TRY(factor_of(header, scaling + "factor", old));
  const double strength = TRY(factor_of(header, scaling + "attn_factor", 1));
  if (strength != 1)
    return Error{Code::invalid, scaling + "attn_factor is not 1, which is not supported"};
  if (factor == 0 || factor == 1) return Json(nullptr);
  if (factor < 1)
    return Error{Code::invalid, scaling + "factor is below 1; positions are only stretched"};
  return Json{{"rope_type", "linear"}, {"factor", factor}};
}
}  // namespace kairo::gpu
