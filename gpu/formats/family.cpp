// gpu/formats/family.cpp - the families, and the fields that only one of them has.
#include "gpu/formats/family.h"

#include <cmath>

namespace kairo::gpu {
namespace {
constexpr TensorNames olmo_names = {.norms = {nullptr, "post_attention_layernorm", nullptr,
                                              "post_feedforward_layernorm", "q_norm", "k_norm"}};
constexpr TensorNames qwen3_names = {
    .norms = {"input_layernorm", nullptr, "post_attention_layernorm", nullptr, "q_norm", "k_norm"}};
constexpr TensorNames gemma2_names = {.norms = {"input_layernorm", "post_attention_layernorm",
                                                "pre_feedforward_layernorm",
                                                "post_feedforward_layernorm", nullptr, nullptr}};
constexpr TensorNames gemma3_names = {.norms = {"input_layernorm", "post_attention_layernorm",
                                                "pre_feedforward_layernorm",
                                                "post_feedforward_layernorm", "q_norm", "k_norm"}};
constexpr TensorNames granite4_names = {
    .mlp = "shared_mlp.",
    .modules = {"q_proj", "k_proj", "v_proj", "o_proj", nullptr, nullptr, "output_linear", nullptr,
                "input_linear"}};
constexpr TensorNames falcon_names = {
    .layers = "transformer.h.",
    .attention = "self_attention.",
    .modules = {nullptr, nullptr, nullptr, "dense", nullptr, "dense_h_to_4h", "dense_4h_to_h",
                "query_key_value", nullptr},
    .norms = {"ln_attn", nullptr, "ln_mlp", nullptr, nullptr, nullptr},
    .embedding = "transformer.word_embeddings",
    .final_norm = "transformer.ln_f"};
constexpr TensorNames within(TensorNames names) {
  names.layers = "model.language_model.layers.";
  names.stored_layers = "language_model.model.layers.";
  names.embedding = "language_model.model.embed_tokens";
  names.final_norm = "language_model.model.norm";
  names.head = "language_model.lm_head";
  return names;
}
constexpr TensorNames llama_within = within(llama_names), gemma3_within = within(gemma3_names);
constexpr TensorNames with_one_norm(TensorNames names, const char* norm) {
  names.norms[index_of(NormAt::attention)] = names.norms[index_of(NormAt::mlp)] = norm;
  return names;
}
constexpr TensorNames falcon_7b_names = with_one_norm(falcon_names, "input_layernorm");

// A factor; absent: `otherwise`. In (0, 1e6).
float factor(Fields& f, const char* key, double otherwise) {
  const double value = f.number(key, otherwise);
  if (!(value > 0 && value < 1e6)) f.fail(key, "is not in (0, 1e6)");
  return static_cast<float>(value);
}
// A bound; null: none. Absent: `otherwise`.
float cap(Fields& f, const char* key, double otherwise) {
  if (f.says(key) && !f.has(key)) return 0;
  return otherwise == 0 && !f.has(key) ? 0 : factor(f, key, otherwise);
}
void granite_fields(ModelConfig& config, Fields& f) {
  config.embedding_scale = factor(f, "embedding_multiplier", 1);
  config.attention_scale = factor(f, "attention_multiplier", 1);
  config.residual_scale = factor(f, "residual_multiplier", 1);
  config.logit_scale = 1 / factor(f, "logits_scaling", 1);
}
// Of the hybrids those that are none: attention in each layer, and no experts.
void granite4_fields(ModelConfig& config, Fields& f) {
  granite_fields(config, f);
  if (f.integer("num_local_experts", 8) != 0)
    f.fail("num_local_experts", "is not 0: models with experts are served by vLLM");
  const std::string refused = "is not \"attention\" for each layer: hybrids are served by vLLM";
  if (!f.has("layer_types") || !f.at("layer_types").is_array())
    return f.fail("layer_types", refused);
  for (const auto& type : f.at("layer_types"))
    if (type != "attention" && type != "full_attention") return f.fail("layer_types", refused);
  if (f.text("position_embedding_type") == "rope") return;
  for (LayerKind& kind : config.kinds) kind.is_rotated = false;
}
void gemma_fields(ModelConfig& config, Fields& f) {
  config.embedding_scale = std::sqrt(static_cast<float>(config.hidden));
  config.attention_scale = 1 / std::sqrt(factor(f, "query_pre_attn_scalar", 256));
  if (f.flag("use_bidirectional_attention", false))
    f.fail("use_bidirectional_attention", "true is not supported");
}
void gemma2_fields(ModelConfig& config, Fields& f) {
  gemma_fields(config, f);
  config.attention_cap = cap(f, "attn_logit_softcapping", 50);
  config.logit_cap = cap(f, "final_logit_softcapping", 30);
}
// transformers reads attn_logit_softcapping here, too, and does not use it.
void gemma3_fields(ModelConfig& config, Fields& f) {
  gemma_fields(config, f);
  config.logit_cap = cap(f, "final_logit_softcapping", 0);
}
void falcon_fields(ModelConfig& config, Fields& f) {
  const bool is_new = f.flag("new_decoder_architecture", false);
  if (f.flag("alibi", false)) f.fail("alibi", "true is not supported: rotary positions are");
  if (!is_new && !f.flag("parallel_attn", true))
    f.fail("parallel_attn", "false is not supported for this family");
  if (!is_new) config.kv_heads = f.flag("multi_query", true) ? 1 : config.heads;
  const std::int64_t norms = f.integer("num_ln_in_parallel_attn", is_new ? 2 : 1);
  if (norms != 1 && norms != 2) f.fail("num_ln_in_parallel_attn", "is neither 1 nor 2");
  if (!is_new || norms == 1) config.names = &falcon_7b_names;
  config.qkv_bias = config.o_bias = config.mlp_bias = f.flag("bias", false);
  config.residual_dropout = f.number("hidden_dropout", 0);
}

std::vector<Family> make_families() {
  const auto row = [](std::string_view architecture, std::string_view type) {
    Family family;
    family.architecture = architecture;
    family.model_type = type;
    return family;
  };
  Family llama = row("LlamaForCausalLM", "llama");
  llama.bias_flags = true;

  Family mistral = row("MistralForCausalLM", "mistral");
  mistral.windows = Windows::all;
  mistral.kv_heads = 8;

  Family ministral3 = row("Ministral3ForCausalLM", "ministral3");
  ministral3.windows = Windows::all;
  ministral3.window = 0;
  ministral3.kv_heads = 8;
  ministral3.head_dim = 128;
  ministral3.norm_eps = 1e-5;
  ministral3.grows_queries = true;

  Family qwen2 = row("Qwen2ForCausalLM", "qwen2");
  qwen2.windows = Windows::by_layer;
  qwen2.form.qkv_bias = true;
  qwen2.kv_heads = 32;

  Family qwen3 = row("Qwen3ForCausalLM", "qwen3");
  qwen3.windows = Windows::by_layer;
  qwen3.form.names = &qwen3_names;
  qwen3.form.qk_norm = QkNorm::head;
  qwen3.bias_flags = true;
  qwen3.kv_heads = 32;
  qwen3.head_dim = 128;

  Family smollm3 = row("SmolLM3ForCausalLM", "smollm3");
  smollm3.windows = Windows::unread;
  smollm3.bias_flags = smollm3.plain_layers = true;
  smollm3.kv_heads = 4;
  smollm3.theta = 2e6;
  smollm3.tied_head = true;

  Family phi3 = row("Phi3ForCausalLM", "phi3");
  phi3.windows = Windows::all;
  phi3.window = 0;
  phi3.form.fused_qkv = phi3.form.fused_gate_up = phi3.longrope = phi3.residual_dropout = true;
  phi3.original_positions = 4096;
  phi3.norm_eps = 1e-5;

  Family granite = row("GraniteForCausalLM", "granite");
  granite.bias_flags = true;
  granite.own_fields = granite_fields;

  Family granite4 = row("GraniteMoeHybridForCausalLM", "granitemoehybrid");
  granite4.form.names = &granite4_names;
  granite4.form.fused_gate_up = true;
  granite4.intermediate_key = "shared_intermediate_size";
  granite4.own_fields = granite4_fields;

  Family olmo2 = row("Olmo2ForCausalLM", "olmo2");
  olmo2.form.names = &olmo_names;
  olmo2.form.qk_norm = QkNorm::row;
  olmo2.norm_eps = 1e-5;

  Family olmo3 = olmo2;
  olmo3.architecture = "Olmo3ForCausalLM";
  olmo3.model_type = "olmo3";
  olmo3.windows = Windows::local;
  olmo3.every_full = 4;
  olmo3.theta = 5e5;
  olmo3.local_theta = 5e5;  // whatever rope_theta says

  Family gemma2 = row("Gemma2ForCausalLM", "gemma2");
  gemma2.form.names = &gemma2_names;
  gemma2.form.norm = NormKind::rms_plus_one;
  gemma2.form.activation = Activation::geglu;
  gemma2.windows = Windows::local;
  gemma2.every_full = 2;
  gemma2.kv_heads = 4;
  gemma2.head_dim = 256;
  gemma2.tied_head = true;
  gemma2.activation_key = "hidden_activation";
  gemma2.activation = "gelu_pytorch_tanh";
  gemma2.own_fields = gemma2_fields;

  Family gemma3 = gemma2;
  gemma3.architecture = "Gemma3ForCausalLM";
  gemma3.model_type = "gemma3_text";
  gemma3.form.names = &gemma3_names;
  gemma3.form.qk_norm = QkNorm::head;
  gemma3.every_full = 6;
  gemma3.theta = 1e6;
  gemma3.positions = 131072;
  gemma3.heads = 8;
  gemma3.vocab = 262208;
  gemma3.local_theta = 1e4;
  gemma3.local_theta_key = "rope_local_base_freq";
  gemma3.own_fields = gemma3_fields;

  Family falcon = row("FalconForCausalLM", "falcon");
  falcon.form.names = &falcon_names;
  falcon.form.norm = NormKind::layer;
  falcon.form.activation = Activation::gelu;
  falcon.form.fused_qkv = falcon.form.interleaved = falcon.form.parallel = true;
  falcon.positions = 2048;
  falcon.norm_eps = 1e-5;
  falcon.tied_head = true;
  falcon.activation_key = "activation";
  falcon.activation = "gelu";
  falcon.eps_key = "layer_norm_epsilon";
  falcon.kv_heads_key = "num_kv_heads";
  falcon.intermediate_key = "ffn_hidden_size";
  falcon.own_fields = falcon_fields;

  const auto in = [](std::string_view architecture, Family family, const TensorNames& names) {
    family.architecture = architecture;
    family.in_text_config = true;
    family.form.names = &names;
    return family;
  };
  const char* mistral3 = "Mistral3ForConditionalGeneration";
  return {llama,
          mistral,
          ministral3,
          in(mistral3, mistral, llama_within),
          in(mistral3, ministral3, llama_within),
          qwen2,
          qwen3,
          smollm3,
          phi3,
          granite,
          granite4,
          olmo2,
          olmo3,
          gemma2,
          gemma3,
          in("Gemma3ForConditionalGeneration", gemma3, gemma3_within),
          falcon};
}
}  // namespace

const std::vector<Family>& families() {
  static const std::vector<Family> all = make_families();
  return all;
}
const Family* find_family(std::string_view architecture, std::string_view text_type) {
  for (const Family& family : families())
    if (family.architecture == architecture &&
        (text_type.empty() || family.model_type == text_type))
      return &family;
  return nullptr;
}
}  // namespace kairo::gpu
