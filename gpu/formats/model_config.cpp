// gpu/formats/model_config.cpp - reads config.json; a field that would change the result is never
// ignored.
#include "gpu/formats/model_config.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "gpu/formats/files.h"
#include "gpu/formats/json.h"

namespace kairo::gpu {
namespace {
using nlohmann::json;
constexpr std::array<std::string_view, 2> supported = {"LlamaForCausalLM", "MistralForCausalLM"};
constexpr std::string_view mistral = supported[1];
// transformers' defaults where a file says nothing; null says something.
constexpr std::int64_t mistral_window = 4096, mistral_kv_heads = 8;
constexpr std::int64_t config_bytes_max = 4 << 20;
// Beyond every model that there is, and small enough that no product of sizes leaves 63 bits.
constexpr std::int64_t layers_max = 1 << 10, width_max = 1 << 20, tokens_max = 1 << 24,
                       parameters_max = std::int64_t{1} << 40;

// Reads fields of one object and keeps the first error.
class Fields {
 public:
  Fields(const json& object, std::string where) : object_(object), where_(std::move(where)) {}
  bool says(const char* key) const { return object_.contains(key); }  // perhaps null
  bool has(const char* key) const { return object_.contains(key) && !object_[key].is_null(); }
  std::int64_t integer(const char* key, std::int64_t absent) {
    if (!has(key)) return absent;
    const json& v = object_[key];
    if (!v.is_number_integer()) return fail(key, "is not an integer"), absent;
    // Beyond 63 bits no range takes it.
    return v.is_number_unsigned() && v.get<std::uint64_t>() >> 63 != 0 ? -1 : v.get<std::int64_t>();
  }
  // In [1, max]; 1 when it is not.
  std::int64_t dimension(const char* key, std::int64_t max, std::int64_t absent = 0) {
    const std::int64_t value = integer(key, absent);
    if (value >= 1 && value <= max) return value;
    if (!has(key)) return fail(key, "is missing"), 1;
    fail(key, "is " + at(key).dump() + ", out of range [1, " + std::to_string(max) + "]");
    return 1;
  }
  double number(const char* key, double absent) {
    if (!has(key)) return absent;
    if (!object_[key].is_number()) return fail(key, "is not a number"), absent;
    return object_[key].get<double>();
  }
  bool flag(const char* key, bool absent) {
    if (!has(key)) return absent;
    if (!object_[key].is_boolean()) return fail(key, "is not true or false"), absent;
    return object_[key].get<bool>();
  }
  std::string text(const char* key) {
    if (!has(key)) return "";
    if (!object_[key].is_string()) return fail(key, "is not a string"), "";
    return object_[key].get<std::string>();
  }
  const json& at(const char* key) const { return object_[key]; }
  void fail(const std::string& key, const std::string& why) {
    if (error_.empty()) error_ = where_ + ": " + key + " " + why;
  }
  const std::string& error() const { return error_; }

 private:
  const json& object_;
  std::string where_, error_;
};

// outer: the whole config, which has some of rope's fields, too.
void parse_scaling(RopeConfig& rope, Fields& f, Fields& outer, std::int64_t positions) {
  std::string kind = f.text("rope_type");
  if (kind.empty()) kind = f.text("type");
  if (kind.empty() || kind == "default") return;
  rope.factor = f.number("factor", 1.0);
  if (!(rope.factor >= 1.0 && rope.factor <= 1e6)) f.fail("factor", "is not in [1, 1000000]");
  if (kind == "linear") {
    rope.kind = RopeKind::linear;
    return;
  }
  if (kind != "llama3")
    return f.fail("rope_type", "\"" + kind + "\" is not supported: default, linear, llama3 are");
  rope.kind = RopeKind::llama3;
  rope.low_frequency_factor = f.number("low_freq_factor", 1.0);
  rope.high_frequency_factor = f.number("high_freq_factor", 4.0);
  const char* original = "original_max_position_embeddings";  // the whole's wins
  rope.original_positions =
      (outer.has(original) ? outer : f).dimension(original, tokens_max, positions);
  if (!(rope.high_frequency_factor > rope.low_frequency_factor))
    f.fail("high_freq_factor", "is not above low_freq_factor");
}

// rope_scaling that says something wins over rope_parameters, as in transformers 5.24; rope_theta
// is the winner's own, or the whole config's.
std::string parse_rope(RopeConfig& rope, Fields& f, const std::string& file,
                       std::int64_t positions) {
  const char* partial = "partial_rotary_factor";
  rope.theta = f.number("rope_theta", 10000.0);
  if (f.number(partial, 1.0) != 1.0) f.fail(partial, "is not 1, which is not supported");
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!f.has(key)) continue;
    if (!f.at(key).is_object()) return file + ": " + key + " is not an object";
    if (f.at(key).empty()) continue;
    Fields inner(f.at(key), file + ": " + key);
    rope.theta = inner.number("rope_theta", rope.theta);
    if (inner.number(partial, 1.0) != 1.0) inner.fail(partial, "is not 1, which is not supported");
    parse_scaling(rope, inner, f, positions);
    if (!inner.error().empty()) return inner.error();
    break;
  }
  if (!(rope.theta > 1.0 && rope.theta <= 1e15)) return file + ": rope_theta is not in (1, 1e15]";
  return "";
}

void parse_stop_tokens(ModelConfig& config, Fields& f) {
  if (!f.has("eos_token_id")) return;
  const json& eos = f.at("eos_token_id");
  for (const auto& id : eos.is_array() ? eos : json::array({eos})) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() >> 31 != 0 ||
        id.get<std::int64_t>() >= config.vocab)
      return f.fail("eos_token_id", "is no token of the vocabulary");
    config.stop_tokens.push_back(id.get<std::int32_t>());
  }
}

// What this engine does not compute must not be there.
void refuse_unsupported(const ModelConfig& config, Fields& f) {
  if (f.flag("attention_bias", false)) f.fail("attention_bias", "true is not supported");
  if (f.flag("mlp_bias", false)) f.fail("mlp_bias", "true is not supported");
  const std::string act = f.text("hidden_act");
  if (!act.empty() && act != "silu" && act != "swish")
    f.fail("hidden_act", "\"" + act + "\" is not supported: silu is");
  if (f.has("quantization_config"))
    f.fail("quantization_config", "is not supported: give the unquantised model");
  const bool is_windowed = config.architecture == mistral && !f.says("sliding_window");
  const std::int64_t window =
      f.integer("sliding_window", is_windowed ? mistral_window : config.positions);
  if (window < config.positions)
    f.fail("sliding_window",
           (is_windowed ? "is absent, which is " : "") + std::to_string(window) +
               " for this model, and not supported: null is, or max_position_embeddings at most " +
               std::to_string(window));
  if (!f.flag("is_causal", true)) f.fail("is_causal", "false is not supported");
  if (f.has("per_layer_config") && !f.at("per_layer_config").empty())
    f.fail("per_layer_config", "is not supported: all layers are alike here");
  const std::string type = f.text("model_type");
  const std::string wanted = config.architecture == mistral ? "mistral" : "llama";
  if (!type.empty() && type != wanted)
    f.fail("model_type", "is \"" + type + "\", which computes otherwise than architectures says (" +
                             config.architecture + "): " + wanted + " is supported");
  if (config.heads % config.kv_heads != 0)
    f.fail("num_key_value_heads", "does not divide num_attention_heads");
  if (config.head_dim % 2 != 0) f.fail("head_dim", "is odd");
}

void check_sizes(const ModelConfig& c, Fields& f) {
  if (c.heads * c.head_dim > width_max)
    return f.fail("num_attention_heads", std::to_string(c.heads) + " x head_dim " +
                                             std::to_string(c.head_dim) + " is above " +
                                             std::to_string(width_max));
  const std::int64_t layer =
      c.hidden * (2 * (c.heads + c.kv_heads) * c.head_dim + 3 * c.intermediate);
  const std::int64_t parameters = c.layers * layer + 2 * c.vocab * c.hidden;
  if (parameters > parameters_max)
    f.fail("hidden_size", std::to_string(c.hidden) + " x num_hidden_layers " +
                              std::to_string(c.layers) + ": the sizes make " +
                              std::to_string(parameters) + " parameters, more than " +
                              std::to_string(parameters_max));
}
}  // namespace

bool is_supported_architecture(std::string_view name) {
  return std::ranges::find(supported, name) != supported.end();
}
std::string supported_architectures() {
  std::string list;
  for (const auto name : supported) list += (list.empty() ? "" : ", ") + std::string(name);
  return list;
}

Result<ModelConfig> parse_model_config(const std::string& json_text, const std::string& file) {
  const auto parsed = parse_json_object(json_text);
  if (!parsed.ok()) return Error{Code::invalid, file + ": " + parsed.error().what};
  const json& root = parsed.value();
  Fields f(root, file);
  ModelConfig config;
  if (f.has("architectures") && f.at("architectures").is_array() &&
      f.at("architectures").size() == 1 && f.at("architectures")[0].is_string())
    config.architecture = f.at("architectures")[0].get<std::string>();
  if (!is_supported_architecture(config.architecture))
    return Error{Code::invalid,
                 file + ": architecture \"" + config.architecture +
                     "\" is not supported natively; supported: " + supported_architectures()};
  config.hidden = f.dimension("hidden_size", width_max);
  config.layers = f.dimension("num_hidden_layers", layers_max);
  config.heads = f.dimension("num_attention_heads", width_max);
  const bool has_default = config.architecture == mistral && !f.says("num_key_value_heads");
  config.kv_heads =
      f.dimension("num_key_value_heads", width_max, has_default ? mistral_kv_heads : config.heads);
  config.intermediate = f.dimension("intermediate_size", width_max);
  config.vocab = f.dimension("vocab_size", tokens_max);
  config.positions = f.dimension("max_position_embeddings", tokens_max);
  if (!f.error().empty()) return Error{Code::invalid, f.error()};
  config.head_dim = f.dimension("head_dim", width_max, config.hidden / config.heads);
  const double eps = f.number("rms_norm_eps", 1e-6);
  if (!(eps >= 0 && eps <= 1)) f.fail("rms_norm_eps", "is not in [0, 1]");
  config.norm_eps = static_cast<float>(eps);
  config.tied_head = f.flag("tie_word_embeddings", false);
  config.attention_dropout = f.number("attention_dropout", 0);
  if (!(config.attention_dropout >= 0 && config.attention_dropout < 1))
    f.fail("attention_dropout", "is not in [0, 1)");
  const std::string rope_error = parse_rope(config.rope, f, file, config.positions);
  if (!rope_error.empty()) return Error{Code::invalid, rope_error};
  parse_stop_tokens(config, f);
  refuse_unsupported(config, f);
  check_sizes(config, f);
  if (!f.error().empty()) return Error{Code::invalid, f.error()};
  return config;
}

Status check_training(const ModelConfig& config) {
  if (config.attention_dropout == 0) return ok();
  return Error{Code::invalid,
               "config.json: attention_dropout is not 0: a training would drop a part of the "
               "attention's weights, which is not supported; set it to 0 to train without"};
}

Result<ModelConfig> load_model_config(const std::string& dir) {
  const std::string file = dir + "/config.json";
  const std::string text = TRY(read_file(file, config_bytes_max));
  return parse_model_config(text, file);
}
}  // namespace kairo::gpu
