// tests/gpu/formats/model_config_test.cpp - old and new config.json fields give the same model;
// what is not supported is refused by name.
#include "gpu/formats/model_config.h"

#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/gpu/formats/base_config.h"

namespace kairo::gpu {
namespace {
using nlohmann::json;
using test::base;
}  // namespace

TEST_CASE("accepted forms") {
  struct Row {
    std::string name;
    json patch;  // merged over the base
    std::function<bool(const ModelConfig&)> holds;
  };
  const json llama3 = {{"rope_type", "llama3"},
                       {"factor", 8.0},
                       {"low_freq_factor", 1.0},
                       {"high_freq_factor", 4.0},
                       {"original_max_position_embeddings", 64}};
  json parameters = llama3;
  parameters["rope_theta"] = 500000.0;
  const std::vector<Row> rows = {
      {"plain", json::object(),
       [](const auto& c) { return c.head_dim == 16 && !c.tied_head && c.stop_tokens.size() == 1; }},
      {"no kv heads",
       {{"num_key_value_heads", nullptr}},
       [](const auto& c) { return c.kv_heads == 4; }},
      {"own head_dim", {{"head_dim", 32}}, [](const auto& c) { return c.head_dim == 32; }},
      {"tied", {{"tie_word_embeddings", true}}, [](const auto& c) { return c.tied_head; }},
      {"several stop tokens",
       {{"eos_token_id", {2, 3}}},
       [](const auto& c) { return c.stop_tokens.size() == 2; }},
      {"old llama3 scaling",
       {{"rope_scaling", llama3}},
       [](const auto& c) { return c.rope.kind == RopeKind::llama3 && c.rope.theta == 10000.0; }},
      {"new llama3 parameters",
       {{"rope_parameters", parameters}, {"rope_theta", nullptr}},
       [](const auto& c) {
         return c.rope.kind == RopeKind::llama3 && c.rope.theta == 500000.0 &&
                c.rope.original_positions == 64;
       }},
      {"old key type",
       {{"rope_scaling", {{"type", "linear"}, {"factor", 2.0}}}},
       [](const auto& c) { return c.rope.kind == RopeKind::linear && c.rope.factor == 2.0; }},
      {"rope_scaling wins, with the whole's theta",
       {{"rope_parameters", parameters},
        {"rope_theta", 300000.0},
        {"rope_scaling", {{"type", "linear"}, {"factor", 2.0}}}},
       [](const auto& c) { return c.rope.kind == RopeKind::linear && c.rope.theta == 300000.0; }},
      {"the whole's original positions win",
       {{"rope_parameters", parameters}, {"original_max_position_embeddings", 32}},
       [](const auto& c) { return c.rope.original_positions == 32; }},
      {"mistral's own defaults",
       {{"architectures", {"MistralForCausalLM"}},
        {"num_attention_heads", 32},
        {"num_key_value_heads", nullptr}},  // a patch with null: absent
       [](const auto& c) { return c.kv_heads == 8; }},
      {"attention_dropout is of the training",
       {{"attention_dropout", 0.1}},
       [](const auto& c) { return c.attention_dropout == 0.1 && !check_training(c).ok(); }},
      {"mistral, window beyond the context",
       {{"architectures", {"MistralForCausalLM"}}, {"sliding_window", 4096}},
       [](const auto& c) { return c.kind(0).window == 0; }},
      {"mistral's own window",
       {{"architectures", {"MistralForCausalLM"}}, {"max_position_embeddings", 8192}},
       [](const auto& c) { return c.kind(0).window == 4096 && c.kind(1).window == 4096; }},
      {"llama's biases",
       {{"attention_bias", true}, {"mlp_bias", true}},
       [](const auto& c) { return c.qkv_bias && c.o_bias && c.mlp_bias; }},
      {"qwen2: biases on q, k and v, windows only where they are used",
       {{"architectures", {"Qwen2ForCausalLM"}}, {"sliding_window", 8}, {"max_window_layers", 1}},
       [](const auto& c) { return c.qkv_bias && !c.o_bias && c.kind(1).window == 0; }},
      {"qwen2: windows from a layer on",
       {{"architectures", {"Qwen2ForCausalLM"}},
        {"use_sliding_window", true},
        {"sliding_window", 8},
        {"max_window_layers", 1}},
       [](const auto& c) { return c.kind(0).window == 0 && c.kind(1).window == 8; }},
      {"qwen2: layer_types wins",
       {{"architectures", {"Qwen2ForCausalLM"}},
        {"use_sliding_window", true},
        {"sliding_window", 8},
        {"max_window_layers", 1},
        {"layer_types", {"sliding_attention", "full_attention"}}},
       [](const auto& c) { return c.kind(0).window == 8 && c.kind(1).window == 0; }},
      {"smollm3: layers without positions, and its theta",
       {{"architectures", {"SmolLM3ForCausalLM"}},
        {"no_rope_layers", {0, 1}},
        {"rope_theta", nullptr}},
       [](const auto& c) {
         return !c.kind(0).is_rotated && c.kind(1).is_rotated && c.rope.theta == 2e6;
       }},
      {"smollm3: each fourth layer otherwise",
       {{"architectures", {"SmolLM3ForCausalLM"}}, {"num_hidden_layers", 4}},
       [](const auto& c) { return c.kind(2).is_rotated && !c.kind(3).is_rotated; }},
      {"smollm3 ties its head unless it says otherwise",
       {{"architectures", {"SmolLM3ForCausalLM"}}},
       [](const auto& c) { return c.tied_head; }},
      {"phi3: fused, no window unless it says one, its own epsilon",
       {{"architectures", {"Phi3ForCausalLM"}}, {"rms_norm_eps", nullptr}},
       [](const auto& c) {
         return c.fused_qkv && c.fused_gate_up && c.kind(0).window == 0 && c.norm_eps == 1e-5f &&
                c.rotary_dim == 16;
       }},
      {"phi3: longrope in the form of its first files, partly rotated",
       {{"architectures", {"Phi3ForCausalLM"}},
        {"original_max_position_embeddings", 16},
        {"partial_rotary_factor", 0.75},
        {"rope_scaling",
         {{"type", "su"},
          {"short_factor", {1, 1, 1, 1, 1, 1}},
          {"long_factor", {2, 2, 2, 2, 2, 2.5}}}}},
       [](const auto& c) {
         return c.rope.kind == RopeKind::longrope && c.rotary_dim == 12 && c.rope.factor == 16 &&
                c.rope.long_factors[5] == 2.5 && std::abs(c.rope.strength - std::sqrt(2.0)) < 1e-12;
       }},
      {"phi3: dropout of a layer's output is of the training",
       {{"architectures", {"Phi3ForCausalLM"}}, {"resid_pdrop", 0.1}},
       [](const auto& c) { return !check_training(c).ok(); }},
      {"yarn: the positions of the whole are stretched",
       {{"rope_scaling", {{"type", "yarn"}, {"factor", 2.0}}}},
       [](const auto& c) {
         return c.rope.kind == RopeKind::yarn && c.rope.original_positions == 256 &&
                std::abs(c.rope.strength - 1.0693147180559945) < 1e-12;
       }},
      {"yarn: its factor from the positions",
       {{"rope_scaling",
         {{"type", "yarn"}, {"attention_factor", 1.5}, {"original_max_position_embeddings", 64}}}},
       [](const auto& c) { return c.rope.factor == 4 && c.rope.strength == 1.5; }}};
  for (const auto& row : rows) {
    CAPTURE(row.name);
    json config = base();
    config.merge_patch(row.patch);
    const auto parsed = parse_model_config(config.dump(), "config.json");
    REQUIRE_MESSAGE(parsed.ok(), parsed.error().what);
    CHECK(row.holds(parsed.value()));
  }
}

TEST_CASE("refusals name the field and the remedy") {
  struct Row {
    std::string name;
    json patch;
    std::string what;
  };
  const std::vector<Row> rows = {
      {"another architecture",
       {{"architectures", {"GptOssForCausalLM"}}},
       "supported families: llama, mistral"},
      {"no architecture", {{"architectures", nullptr}}, "supported families: llama, mistral"},
      {"no hidden size", {{"hidden_size", nullptr}}, "hidden_size is missing"},
      {"text for a number", {{"vocab_size", "big"}}, "vocab_size is not an integer"},
      {"absurd layers",
       {{"num_hidden_layers", 1 << 30}},
       "num_hidden_layers is 1073741824, out of range [1, 1024]"},
      {"1025 layers", {{"num_hidden_layers", 1025}}, "num_hidden_layers is 1025"},
      {"layers beyond 63 bits",
       {{"num_hidden_layers", 18446744073709551615u}},
       "num_hidden_layers is 18446744073709551615"},
      {"a negative size", {{"vocab_size", -5}}, "vocab_size is -5"},
      {"wide", {{"hidden_size", (1 << 20) + 1}}, "hidden_size is 1048577"},
      {"many heads",
       {{"num_attention_heads", 1 << 15}, {"num_key_value_heads", 1}, {"head_dim", 64}},
       "num_attention_heads 32768 x head_dim 64 is above 1048576"},
      {"all at their ends",
       {{"hidden_size", 1 << 20}, {"intermediate_size", 1 << 20}, {"num_hidden_layers", 1024}},
       "more than 1099511627776"},
      {"norm", {{"rms_norm_eps", -1}}, "rms_norm_eps is not in [0, 1]"},
      {"theta", {{"rope_theta", 1e300}}, "rope_theta is not in"},
      {"partly rotated",
       {{"rope_parameters",
         {{"rope_type", "linear"}, {"factor", 2}, {"partial_rotary_factor", 0.5}}}},
       "partial_rotary_factor"},
      {"zero heads", {{"num_attention_heads", 0}}, "num_attention_heads is 0, out of range"},
      {"heads do not divide", {{"num_key_value_heads", 3}}, "num_key_value_heads"},
      {"odd head", {{"head_dim", 15}}, "head_dim is odd"},
      {"bias",
       {{"architectures", {"MistralForCausalLM"}}, {"attention_bias", true}},
       "attention_bias true is not supported for this family"},
      {"layers of another kind",
       {{"architectures", {"Qwen2ForCausalLM"}},
        {"use_sliding_window", true},
        {"sliding_window", 8},
        {"layer_types", {"chunked_attention", "full_attention"}}},
       "layer_types names \"chunked_attention\""},
      {"too few layers are told of",
       {{"architectures", {"SmolLM3ForCausalLM"}}, {"no_rope_layers", {1}}},
       "no_rope_layers is not a list with an entry for each of the 2 layers"},
      {"neither with positions nor without",
       {{"architectures", {"SmolLM3ForCausalLM"}}, {"no_rope_layers", {1, "x"}}},
       "no_rope_layers has an entry that is neither 0 nor 1"},
      {"windows of a family that has none here",
       {{"architectures", {"SmolLM3ForCausalLM"}}, {"use_sliding_window", true}},
       "use_sliding_window true is not supported"},
      {"no window",
       {{"architectures", {"MistralForCausalLM"}}, {"sliding_window", 0}},
       "sliding_window is 0, below 1"},
      {"activation", {{"hidden_act", "gelu"}}, "hidden_act \"gelu\""},
      {"quantised", {{"quantization_config", {{"bits", 4}}}}, "quantization_config"},
      {"sliding window", {{"sliding_window", 128}}, "sliding_window 128"},
      {"both directions", {{"is_causal", false}}, "is_causal false"},
      {"layers of their own",
       {{"per_layer_config", {{"0", {{"rms_norm_eps", 0.5}}}}}},
       "per_layer_config is not supported"},
      {"another model's config", {{"model_type", "granite"}}, "model_type is \"granite\""},
      {"partly rotated, in the whole", {{"partial_rotary_factor", 0.5}}, "partial_rotary_factor"},
      {"dropout", {{"attention_dropout", 1.5}}, "attention_dropout is not in [0, 1)"},
      {"longrope",
       {{"rope_scaling", {{"rope_type", "longrope"}, {"factor", 2.0}}}},
       "rope_type \"longrope\""},
      {"too few factors",
       {{"architectures", {"Phi3ForCausalLM"}},
        {"rope_scaling",
         {{"type", "longrope"}, {"short_factor", {1, 1}}, {"long_factor", {1, 1}}}}},
       "short_factor is not a list of 8 numbers, one a rotated pair"},
      {"a factor of zero",
       {{"architectures", {"Phi3ForCausalLM"}},
        {"head_dim", 2},
        {"rope_scaling", {{"type", "longrope"}, {"short_factor", {0}}, {"long_factor", {1}}}}},
       "short_factor has 0, which is not in (0, 1e6)"},
      {"no pairs",
       {{"architectures", {"Phi3ForCausalLM"}}, {"partial_rotary_factor", 0.05}},
       "partial_rotary_factor leaves 0 values of a head"},
      {"yarn without turns",
       {{"rope_scaling", {{"rope_type", "yarn"}, {"factor", 2.0}, {"beta_fast", -1}}}},
       "beta_fast is not in (0, 1e6)"},
      {"factor below one",
       {{"rope_scaling", {{"rope_type", "linear"}, {"factor", 0.5}}}},
       "factor is not in [1, 1000000]"},
      {"scaling is a list", {{"rope_scaling", {1, 2}}}, "rope_scaling is not an object"},
      {"stop token outside", {{"eos_token_id", 160}}, "eos_token_id"}};
  for (const auto& row : rows) {
    CAPTURE(row.name);
    json config = base();
    config.merge_patch(row.patch);
    const auto parsed = parse_model_config(config.dump(), "config.json");
    REQUIRE_FALSE(parsed.ok());
    CHECK(parsed.error().code == Code::invalid);
    CHECK_MESSAGE(parsed.error().what.find(row.what) != std::string::npos, parsed.error().what);
  }
  CHECK_FALSE(parse_model_config("{", "config.json").ok());
  CHECK_FALSE(parse_model_config(base().dump() + std::string(1, '\0'), "config.json").ok());
  CHECK(load_model_config("/nonexistent").error().code == Code::not_found);
}
}  // namespace kairo::gpu
