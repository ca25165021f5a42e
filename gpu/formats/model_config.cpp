// gpu/formats/model_config.cpp - reads config.json; a field that would change the result is never
// ignored.
#include "gpu/formats/model_config.h"

#include <algorithm>
#include <string_view>

#include "gpu/formats/family.h"
#include "gpu/formats/files.h"
#include "gpu/formats/json.h"
#include "gpu/formats/rope_config.h"

namespace kairo::gpu {
namespace {
using nlohmann::json;
constexpr std::int64_t config_bytes_max = 4 << 20;
constexpr std::int64_t parameters_max = std::int64_t{1} << 40;  // beyond every model that there is

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
void refuse_unsupported(const ModelConfig& config, const Family& family, Fields& f) {
  for (const char* key : {"attention_bias", "mlp_bias"})
    if (!family.bias_flags && f.flag(key, false))
      f.fail(key, "true is not supported for this family");
  const std::string act = f.text(family.activation_key), known = family.activation;
  if (!act.empty() && act != known && !(known == "silu" && act == "swish"))
    f.fail(family.activation_key, "\"" + act + "\" is not supported: " + known + " is");
  if (!f.flag("is_causal", true)) f.fail("is_causal", "false is not supported");
  if (f.has("per_layer_config") && !f.at("per_layer_config").empty())
    f.fail("per_layer_config", "is not supported: all layers are alike here");
  const std::string type = f.text("model_type");
  const std::string wanted(family.model_type);
  if (!type.empty() && type != wanted)
    f.fail("model_type", "is \"" + type + "\", which computes otherwise than architectures says (" +
                             config.architecture + "): " + wanted + " is supported");
  if (config.heads % config.kv_heads != 0)
    f.fail(family.kv_heads_key, "does not divide num_attention_heads");
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

bool is_computed(std::string_view architecture) {
  return find_family(architecture) != nullptr;
}
std::string computed_families() {
  std::string list;
  for (const Family& family : families())
    if (!family.in_text_config) list += (list.empty() ? "" : ", ") + std::string(family.model_type);
  return list;
}

namespace {
// What a config.json is about: its architecture, the object with its sizes, and where that lies.
struct Subject {
  const Family* family;
  std::string architecture;
  const json* sizes;
  std::string where;
};
Result<Subject> subject_of(const json& root, const std::string& file) {
  Fields f(root, file);
  Subject out{nullptr, "", &root, file};
  if (f.has("architectures") && f.at("architectures").is_array() &&
      f.at("architectures").size() == 1 && f.at("architectures")[0].is_string())
    out.architecture = f.at("architectures")[0].get<std::string>();
  out.family = find_family(out.architecture);
  const auto unknown = [&](const std::string& what) {
    return Error{Code::invalid, file + ": " + what +
                                    " is not supported natively; supported "
                                    "families: " +
                                    computed_families()};
  };
  if (out.family == nullptr) return unknown("architecture \"" + out.architecture + "\"");
  if (!out.family->in_text_config) return out;
  if (!f.has("text_config") || !f.at("text_config").is_object())
    return Error{Code::invalid, file + ": text_config is missing"};
  out.sizes = &f.at("text_config");
  out.where = file + ": text_config";
  const std::string type = Fields(*out.sizes, out.where).text("model_type");
  if (!type.empty()) out.family = find_family(out.architecture, type);
  if (out.family == nullptr) return unknown("text_config of model_type \"" + type + "\"");
  return out;
}
}  // namespace

Result<ModelConfig> parse_model_config(const std::string& json_text, const std::string& file) {
  const auto parsed = parse_json_object(json_text);
  if (!parsed.ok()) return Error{Code::invalid, file + ": " + parsed.error().what};
  const json& root = parsed.value();
  const Subject subject = TRY(subject_of(root, file));
  const Family* family = subject.family;
  Fields f(*subject.sizes, subject.where), whole(root, file);
  ModelConfig config;
  config.architecture = subject.architecture;
  static_cast<LayerForm&>(config) = family->form;
  config.hidden = f.dimension("hidden_size", width_max);
  config.layers = f.dimension("num_hidden_layers", layers_max);
  config.heads = f.dimension("num_attention_heads", width_max, family->heads);
  const bool has_default = family->kv_heads != 0 && !f.says(family->kv_heads_key);
  config.kv_heads =
      f.dimension(family->kv_heads_key, width_max, has_default ? family->kv_heads : config.heads);
  config.intermediate =
      f.dimension(family->intermediate_key, width_max, config.is_gated() ? 0 : 4 * config.hidden);
  config.vocab = f.dimension("vocab_size", tokens_max, family->vocab);
  config.positions = f.dimension("max_position_embeddings", tokens_max, family->positions);
  if (!f.error().empty()) return Error{Code::invalid, f.error()};
  const bool says_dim = family->head_dim == 0 || f.says("head_dim");
  config.head_dim = f.dimension("head_dim", width_max,
                                says_dim ? config.hidden / config.heads : family->head_dim);
  const double eps = f.number(family->eps_key, family->norm_eps);
  if (!(eps >= 0 && eps <= 1)) f.fail(family->eps_key, "is not in [0, 1]");
  config.norm_eps = static_cast<float>(eps);
  config.tied_head =
      whole.flag("tie_word_embeddings", f.flag("tie_word_embeddings", family->tied_head));
  config.attention_dropout = f.number("attention_dropout", 0);
  if (!(config.attention_dropout >= 0 && config.attention_dropout < 1))
    f.fail("attention_dropout", "is not in [0, 1)");
  for (const char* key : {"resid_pdrop", "embd_pdrop"})
    if (family->residual_dropout)
      config.residual_dropout = std::max(config.residual_dropout, f.number(key, 0));
  const std::string rope_error = parse_rope(config, *family, f, subject.where);
  if (!rope_error.empty()) return Error{Code::invalid, rope_error};
  parse_stop_tokens(config, whole.has("eos_token_id") ? whole : f);
  config.kinds = layer_kinds(*family, f, config.layers, config.positions);
  if (family->own_fields != nullptr) family->own_fields(config, f);
  if (family->bias_flags) {
    config.qkv_bias = config.o_bias = f.flag("attention_bias", false);
    config.mlp_bias = f.flag("mlp_bias", false);
  }
  if (whole.has("quantization_config") &&
      Fields(whole.at("quantization_config"), file).text("quant_method") != kairo_blocks)
    whole.fail("quantization_config", "is not supported: give the unquantised model");
  refuse_unsupported(config, *family, f);
  check_sizes(config, f);
  for (const Fields* of : {&f, &whole})
    if (!of->error().empty()) return Error{Code::invalid, of->error()};
  return config;
}

Status check_training(const ModelConfig& config) {
  if (config.residual_dropout != 0)
    return Error{Code::invalid,
                 "config.json: resid_pdrop or embd_pdrop is not 0: a training would drop a part of "
                 "each layer's output, which is not supported; set them to 0 to train without"};
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
