// gpu/formats/gguf_keys.cpp - llama.cpp's keys.
#include "gpu/formats/gguf_keys.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace kairo::gpu {
namespace {
using Json = nlohmann::ordered_json;
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
                                      "attention.sliding_window",
                                      "vocab_size"};
// What the value must be for our computation; its meaning in llama.cpp.
struct Fixed {
  std::string_view key;
  double value;
  const char* what;
};
constexpr Fixed fixed[] = {{"attention.causal", 1, "attention looks ahead"},
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
Status check_key(const GgufHeader& header, const GgufFamily& family, const std::string& key,
                 const GgufValue& v) {
  const std::string_view name = std::string_view(key).substr(family.architecture.size() + 1);
  if (std::ranges::find(taken, name) != std::end(taken) || name.starts_with("rope.scaling."))
    return ok();
  if (name == "rope.scale_linear") return ok();  // rope_scaling_of reads it
  if (name == "attention.key_length" || name == "attention.value_length") {
    const auto dim = header.metadata.find(family.key("rope.dimension_count"));
    const auto key_length = header.metadata.find(family.key("attention.key_length"));
    const auto& whole = dim == header.metadata.end() ? key_length : dim;
    if (whole == header.metadata.end()) return refused(key, v, "it says nothing of the keys");
    const auto rotated = TRY(get<std::int64_t>(header, whole->first));
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

Status check_keys(const GgufHeader& header, const GgufFamily& family) {
  for (const auto& [key, value] : header.metadata) {
    if (key.starts_with(family.key(""))) TRY(check_key(header, family, key, value));
    for (const auto* around : {"tokenizer.ggml.add_eos_token", "tokenizer.ggml.add_sep_token"})
      if (key == around && number(value) != 0.0)
        return refused(key, value, "the tokenizer that is written adds nothing behind a text");
    if (key.starts_with("adapter.") || (key == "general.type" && shown(value) != "\"model\""))
      return refused(key, value, "only whole models are imported");
    if (key == "split.count" && number(value) > 1.0)
      return refused(key, value, "merge the parts first (llama-gguf-split --merge)");
  }
  for (const auto& t : header.tensors)
    if (t.name.starts_with("rope_freqs") ||
        (is_rope_factors(t.name) && family.architecture != "phi3"))
      return Error{Code::invalid, "tensor " + t.name +
                                      ": factors of the single frequencies (Llama 3.1's scaling) "
                                      "are not imported: take the model's own files"};
  return ok();
}

bool is_rope_factors(const std::string& tensor) {
  return tensor == "rope_factors_long.weight" || tensor == "rope_factors_short.weight";
}

Result<std::optional<std::int64_t>> head_dim_of(const GgufHeader& header,
                                                const GgufFamily& family) {
  for (const auto* name : {"attention.key_length", "rope.dimension_count"})
    if (header.metadata.contains(family.key(name)))
      return std::optional(TRY(get<std::int64_t>(header, family.key(name))));
  return std::optional<std::int64_t>();
}

namespace {
// Factors of the single frequencies, for short and for long texts.
Result<Json> longrope_of(const GgufHeader& header, std::span<const std::byte> file) {
  Json out = {{"rope_type", "longrope"}};
  for (const auto* kind : {"short", "long"}) {
    const std::string name = std::string("rope_factors_") + kind + ".weight";
    const auto found = std::ranges::find(header.tensors, name, &GgufTensor::name);
    if (found == header.tensors.end() || found->shape.size() != 1 || found->shape[0] > 4096)
      return Error{Code::corrupt, "tensor " + name + " is not there, or no list of factors"};
    std::vector<float> factors(static_cast<std::size_t>(found->shape[0]));
    dequantise(*found, file, factors);
    Json list = Json::array();
    for (const float factor : factors) {
      char decimal[32];  // the f32 as the decimal number it was made from
      std::snprintf(decimal, sizeof decimal, "%.6g", static_cast<double>(factor));
      list.push_back(std::strtod(decimal, nullptr));
    }
    out[std::string(kind) + "_factor"] = list;
  }
  return out;
}
// The angles' strength, where it is not what readers make of the positions: those have more digits.
Status add_strength(Json& rope, const GgufHeader& header, const GgufFamily& family) {
  const double said = TRY(factor_of(header, family.key("rope.scaling.attn_factor"), 0));
  if (said == 0) return ok();
  const auto positions = TRY(get<std::int64_t>(header, family.key("context_length")));
  const auto original =
      TRY(get<std::int64_t>(header, family.key("rope.scaling.original_context_length")));
  if (original < 2) return Error{Code::invalid, "rope.scaling.original_context_length is below 2"};
  const double stretch = static_cast<double>(positions) / static_cast<double>(original);
  const double made =
      stretch > 1 ? std::sqrt(1 + std::log(stretch) / std::log(static_cast<double>(original))) : 1;
  if (std::abs(said - made) > 1e-4) rope["attention_factor"] = said;
  return ok();
}
// llama.cpp: a factor without a type is linear; 0 or 1 scales nothing.
Result<Json> rope_scaling_of(const GgufHeader& header, const GgufFamily& family) {
  const std::string scaling = family.key("rope.scaling.");
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
  const double old = TRY(factor_of(header, family.key("rope.scale_linear"), 0));
  const double factor = TRY(factor_of(header, scaling + "factor", old));
  const double strength = TRY(factor_of(header, scaling + "attn_factor", 1));
  if (strength != 1)
    return Error{Code::invalid, scaling + "attn_factor is not 1, which is not supported"};
  if (factor == 0 || factor == 1) return Json(nullptr);
  if (factor < 1)
    return Error{Code::invalid, scaling + "factor is below 1; positions are only stretched"};
  return Json{{"rope_type", "linear"}, {"factor", factor}};
}
}  // namespace

Status add_positions(Json& config, const GgufHeader& header, const GgufFamily& family,
                     std::span<const std::byte> file) {
  const bool is_long = std::ranges::any_of(
      header.tensors, [](const GgufTensor& t) { return is_rope_factors(t.name); });
  config["rope_scaling"] =
      is_long ? TRY(longrope_of(header, file)) : TRY(rope_scaling_of(header, family));
  if (is_long) TRY(add_strength(config["rope_scaling"], header, family));
  const std::string original = family.key("rope.scaling.original_context_length");
  if (family.architecture == "phi3" && header.metadata.contains(original))
    config["original_max_position_embeddings"] = TRY(get<std::int64_t>(header, original));
  const std::string window = family.key("attention.sliding_window");
  std::int64_t size = 0;
  if (header.metadata.contains(window)) size = TRY(get<std::int64_t>(header, window));
  if (size != 0 && family.architecture != "phi3")
    return refused(window, header.metadata.at(window),
                   "attention is limited to a window, which is "
                   "not supported");
  if (size != 0) config["sliding_window"] = size;
  return ok();
}
}  // namespace kairo::gpu
