// tests/gpu/formats/family_config_test.cpp - the fields that only some families have, and what is
// refused of them.
#include <doctest/doctest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "gpu/formats/model_config.h"
#include "gpu/model/layer_plan.h"
#include "tests/gpu/formats/base_config.h"

namespace kairo::gpu {
using nlohmann::json;

TEST_CASE("fields of one family") {
  struct Row {
    std::string name;
    json patch;  // merged over the base
    std::function<bool(const ModelConfig&)> holds;
  };
  const std::vector<Row> rows = {
      {"qwen3: norms of heads, biases where it says so, heads of its own size",
       {{"architectures", {"Qwen3ForCausalLM"}}, {"attention_bias", true}, {"head_dim", 32}},
       [](const auto& c) {
         return c.qk_norm == QkNorm::head && c.has_norm(NormAt::query) && c.qkv_bias && c.o_bias &&
                !c.mlp_bias && c.head_dim == 32;
       }},
      {"granite: four factors",
       {{"architectures", {"GraniteForCausalLM"}},
        {"embedding_multiplier", 12},
        {"attention_multiplier", 0.0078125},
        {"residual_multiplier", 0.22},
        {"logits_scaling", 16}},
       [](const auto& c) {
         return c.embedding_scale == 12 && c.attention_scale == 0.0078125f &&
                c.residual_scale == 0.22f && c.logit_scale == 0.0625f && c.has_branch();
       }},
      {"olmo2: norms behind each half and of whole rows",
       {{"architectures", {"Olmo2ForCausalLM"}}, {"rms_norm_eps", nullptr}},
       [](const auto& c) {
         return !c.has_norm(NormAt::attention) && c.has_norm(NormAt::after_mlp) &&
                c.qk_norm == QkNorm::row && c.norm_eps == 1e-5f;
       }},
      {"olmo3: each fourth layer sees all; scaling is of those, others keep their own theta",
       {{"architectures", {"Olmo3ForCausalLM"}},
        {"num_hidden_layers", 4},
        {"sliding_window", 8},
        {"rope_theta", 1e4},
        {"rope_scaling", {{"rope_type", "linear"}, {"factor", 2.0}}}},
       [](const auto& c) {
         return c.kind(2).window == 8 && c.kind(2).is_local && c.kind(3).window == 0 &&
                c.rope.kind == RopeKind::linear && c.rope.theta == 1e4 &&
                c.local_rope->kind == RopeKind::plain && c.local_rope->theta == 5e5;
       }},
      {"gemma2: bounds unless they are null, each other layer sees all",
       {{"architectures", {"Gemma2ForCausalLM"}},
        {"hidden_activation", "gelu_pytorch_tanh"},
        {"sliding_window", 8},
        {"query_pre_attn_scalar", 144}},
       [](const auto& c) {
         return c.attention_cap == 50 && c.logit_cap == 30 && c.embedding_scale == 8 &&
                c.attention_scale == 1 / 12.0f && c.kind(0).window == 8 && c.kind(1).window == 0 &&
                c.activation == Activation::geglu && c.norm == NormKind::rms_plus_one;
       }},
      {"gemma3: bounds only where it says so, two thetas, its own heads",
       {{"architectures", {"Gemma3ForCausalLM"}},
        {"head_dim", nullptr},
        {"rope_theta", nullptr},
        {"rope_local_base_freq", 5000.0},
        {"sliding_window_pattern", 2},
        {"attn_logit_softcapping", 50.0}},
       [](const auto& c) {
         return c.attention_cap == 0 && c.logit_cap == 0 && c.rope.theta == 1e6 &&
                c.local_rope->theta == 5000 && c.kind(0).is_local && !c.kind(1).is_local;
       }},
      {"gemma3: ropes by the layers' types",
       {{"architectures", {"Gemma3ForCausalLM"}},
        {"rope_parameters",
         {{"full_attention", {{"rope_type", "linear"}, {"factor", 8.0}, {"rope_theta", 2e6}}},
          {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 3e4}}}}}},
       [](const auto& c) {
         return c.rope.factor == 8 && c.rope.theta == 2e6 && c.local_rope->theta == 3e4;
       }},
      {"ministral 3: queries grow",
       {{"architectures", {"Ministral3ForCausalLM"}},
        {"rope_parameters",
         {{"rope_type", "yarn"},
          {"factor", 16.0},
          {"original_max_position_embeddings", 16},
          {"llama_4_scaling_beta", 0.1}}}},
       [](const auto& c) { return c.rope.query_growth == 0.1 && c.kind(0).window == 0; }},
      {"falcon 7b: one key head, one norm for both halves, what it calls its sizes",
       {{"architectures", {"FalconForCausalLM"}},
        {"activation", "gelu"},
        {"intermediate_size", nullptr},
        {"max_position_embeddings", nullptr}},
       [](const auto& c) {
         return c.kv_heads == 1 && c.parallel && c.interleaved && c.intermediate == 256 &&
                c.positions == 2048 && !c.is_gated() &&
                norm_path(c, 1, NormAt::mlp) == "transformer.h.1.input_layernorm";
       }},
      {"falcon 40b: groups of heads, a norm for each half",
       {{"architectures", {"FalconForCausalLM"}},
        {"new_decoder_architecture", true},
        {"num_kv_heads", 2},
        {"ffn_hidden_size", 100}},
       [](const auto& c) {
         return c.kv_heads == 2 && c.intermediate == 100 && c.norm == NormKind::layer &&
                norm_path(c, 0, NormAt::mlp) == "transformer.h.0.ln_mlp" &&
                module_path(c, 0, Module::qkv) == "transformer.h.0.self_attention.query_key_value";
       }}};
  for (const auto& row : rows) {
    CAPTURE(row.name);
    json config = test::base();
    config.merge_patch(row.patch);
    const auto parsed = parse_model_config(config.dump(), "config.json");
    REQUIRE_MESSAGE(parsed.ok(), parsed.error().what);
    CHECK(row.holds(parsed.value()));
  }
}

TEST_CASE("fields of one family that are refused") {
  struct Row {
    std::string name;
    json patch;
    std::string what;
  };
  const std::vector<Row> rows = {
      {"Gemma's activation",
       {{"architectures", {"Gemma2ForCausalLM"}}, {"hidden_activation", "gelu"}},
       "hidden_activation \"gelu\" is not supported: gelu_pytorch_tanh is"},
      {"a factor of nothing",
       {{"architectures", {"GraniteForCausalLM"}}, {"residual_multiplier", 0}},
       "residual_multiplier is not in (0, 1e6)"},
      {"a bound below nothing",
       {{"architectures", {"Gemma2ForCausalLM"}}, {"final_logit_softcapping", -1}},
       "final_logit_softcapping is not in (0, 1e6)"},
      {"text seen in both directions",
       {{"architectures", {"Gemma3ForCausalLM"}}, {"use_bidirectional_attention", true}},
       "use_bidirectional_attention true is not supported"},
      {"a pattern of nothing",
       {{"architectures", {"Gemma3ForCausalLM"}}, {"sliding_window_pattern", 0}},
       "sliding_window_pattern is below 1"},
      {"one rope where there are two",
       {{"architectures", {"Gemma3ForCausalLM"}},
        {"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 1e6}}}},
       "rope_parameters is not by the layers' types"},
      {"one of two ropes is no object",
       {{"architectures", {"Olmo3ForCausalLM"}}, {"rope_parameters", {{"full_attention", 1}}}},
       "rope_parameters.full_attention is not an object"},
      {"positions as a bias",
       {{"architectures", {"FalconForCausalLM"}}, {"alibi", true}},
       "alibi true is not supported: rotary positions are"},
      {"halves one after the other",
       {{"architectures", {"FalconForCausalLM"}}, {"parallel_attn", false}},
       "parallel_attn false is not supported"},
      {"three norms",
       {{"architectures", {"FalconForCausalLM"}}, {"num_ln_in_parallel_attn", 3}},
       "num_ln_in_parallel_attn is neither 1 nor 2"},
      {"key heads do not divide",
       {{"architectures", {"FalconForCausalLM"}},
        {"new_decoder_architecture", true},
        {"num_kv_heads", 3}},
       "num_kv_heads does not divide"},
      {"queries shrink",
       {{"architectures", {"Ministral3ForCausalLM"}},
        {"rope_parameters", {{"rope_type", "yarn"}, {"llama_4_scaling_beta", -1}}}},
       "llama_4_scaling_beta is not in [0, 1000)"}};
  for (const auto& row : rows) {
    CAPTURE(row.name);
    json config = test::base();
    config.merge_patch(row.patch);
    const auto parsed = parse_model_config(config.dump(), "config.json");
    REQUIRE_FALSE(parsed.ok());
    CHECK_MESSAGE(parsed.error().what.find(row.what) != std::string::npos, parsed.error().what);
  }
}
}  // namespace kairo::gpu
