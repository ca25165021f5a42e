// tests/gpu/formats/adapter_test.cpp - an adapter reads back as written; foreign kinds are refused
// by name; checkpoints fall back past damage and foreign fingerprints.
#include "gpu/formats/adapter.h"

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "gpu/formats/checkpoint.h"
#include "gpu/formats/files.h"
#include "tests/gpu/support.h"

namespace kairo::gpu {
namespace {
namespace fs = std::filesystem;
using nlohmann::json;
const std::string module = "base_model.model.model.layers.0.self_attn.q_proj";

void write(const std::string& dir) {
  AdapterConfig config;
  config.base_model = "base";
  config.rank = 2;
  config.alpha = 4;
  config.targets = {"q_proj"};
  const std::vector<float> a = {1, 2, 3, 4, 5, 6}, b = {7, 8, 9, 10};
  const std::vector<TensorToWrite> tensors = {{module + ".lora_A.weight", {2, 3}, a},
                                              {module + ".lora_B.weight", {2, 2}, b}};
  REQUIRE(write_adapter(dir, config, tensors).ok());
}
json config_of(const std::string& dir) {
  return json::parse(read_file(dir + "/adapter_config.json", 1 << 20).value());
}
}  // namespace

TEST_CASE("an adapter reads back as it was written, with the keys that peft 0.11 knows") {
  const test::TempFolder folder;
  write(folder.path());
  const json config = config_of(folder.path());
  CHECK(config.size() == 24);
  CHECK(config["peft_type"] == "LORA");
  CHECK(config["lora_alpha"].is_number_integer());
  CHECK(config["inference_mode"] == true);
  const auto adapter = load_adapter(folder.path());
  REQUIRE_MESSAGE(adapter.ok(), adapter.error().what);
  REQUIRE(adapter.value().modules.size() == 1);
  const auto& m = adapter.value().modules[0];
  CHECK(m.path == "model.layers.0.self_attn.q_proj");
  CHECK(m.rank == 2);
  CHECK(m.in == 3);
  CHECK(m.out == 2);
  CHECK(m.b == std::vector<float>{7, 8, 9, 10});
  CHECK(adapter.value().config.scale() == 2.0);
  AdapterConfig rs = adapter.value().config;
  rs.use_rslora = true;
  CHECK(rs.scale() == doctest::Approx(4 / std::sqrt(2.0)));
}

TEST_CASE("other kinds of adapters are refused by name") {
  struct Row {
    std::string name;
    json patch;
    std::string what;
  };
  const std::string convert = "path_initial_model_for_weight_conversion",
                    merge = "merge_and_unload";
  const std::vector<Row> rows = {
      {"pissa", {{"init_lora_weights", "pissa"}}, convert},
      {"pissa, fast",
       {{"init_lora_weights", "pissa_niter_16"}},
       "init_lora_weights is \"pissa_niter_16\""},
      {"olora", {{"init_lora_weights", "olora"}}, convert},
      {"olora as peft takes it too", {{"init_lora_weights", "OLoRA"}}, convert},
      {"corda", {{"init_lora_weights", "corda"}}, convert},
      {"lora-ga", {{"init_lora_weights", "lora_ga"}}, convert},
      {"loftq", {{"init_lora_weights", "loftq"}}, "LoftQ quantises the base weights"},
      {"an initialisation to come", {{"init_lora_weights", "newlora"}}, "is not known"},
      {"an initialisation that is a number", {{"init_lora_weights", 3}}, "is not known"},
      {"alora", {{"alora_invocation_tokens", {1, 2}}}, "alora_invocation_tokens is [1,2]"},
      {"alora without tokens", {{"alora_invocation_tokens", json::array()}}, "aLoRA"},
      {"dora", {{"use_dora", true}}, "use_dora is true"},
      {"qalora", {{"use_qalora", true}}, "use_qalora"},
      {"bdlora", {{"use_bdlora", {{"nblocks", 2}}}}, "use_bdlora"},
      {"kasa", {{"kasa_config", {{"beta", 1e-4}}}}, "kasa_config"},
      {"arrow", {{"arrow_config", {{"top_k", 3}}}}, "arrow_config"},
      {"monteclora", {{"monteclora_config", {{"num_samples", 8}}}}, "monteclora_config"},
      {"bias of B", {{"lora_bias", true}}, "lora_bias is true"},
      {"parameters", {{"target_parameters", {"experts.w"}}}, "target_parameters"},
      {"tokens", {{"trainable_token_indices", {7}}}, "trainable_token_indices is [7]"},
      {"tokens by name", {{"trainable_token_indices", {{"embed_tokens", {7}}}}}, merge},
      {"replicated layers", {{"layer_replication", {{0, 1}}}}, "layer_replication"},
      {"rank pattern", {{"rank_pattern", {{"q_proj", 4}}}}, "rank_pattern"},
      {"alpha pattern", {{"alpha_pattern", {{"q_proj", 4}}}}, "alpha_pattern"},
      {"saved modules", {{"modules_to_save", {"lm_head"}}}, "modules_to_save"},
      {"a field to come", {{"use_zlora", true}}, "the field \"use_zlora\" is true"},
      {"a number to come", {{"zlora_depth", 2}}, "the field \"zlora_depth\" is 2"},
      {"bias", {{"bias", "all"}}, "bias is \"all\""},
      {"rslora that is a word", {{"use_rslora", "yes"}}, "use_rslora"},
      {"a classifier", {{"task_type", "SEQ_CLS"}}, "task_type is \"SEQ_CLS\""},
      {"another method", {{"peft_type", "IA3"}}, "peft_type is \"IA3\""},
      {"no rank", {{"r", nullptr}}, "r is not an integer"},
      {"huge rank", {{"r", 100000}}, "r is 100000, out of range"},
      {"another rank", {{"r", 3}}, "rank 2"}};
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const test::TempFolder folder;
    write(folder.path());
    json config = config_of(folder.path());
    config.merge_patch(row.patch);
    REQUIRE(write_file(folder.path() + "/adapter_config.json", config.dump()).ok());
    const auto adapter = load_adapter(folder.path());
    REQUIRE_FALSE(adapter.ok());
    CHECK_MESSAGE(adapter.error().what.find(row.what) != std::string::npos, adapter.error().what);
  }
}

TEST_CASE("what leaves the base model alone is harmless") {
  const std::vector<json> rows = {
      {{"init_lora_weights", "gaussian"}},
      {{"init_lora_weights", "Gaussian"}},
      {{"init_lora_weights", false}},
      {{"init_lora_weights", nullptr}},
      {{"init_lora_weights", "eva"}, {"eva_config", {{"rho", 2.0}}}},
      {{"init_lora_weights", "orthogonal"}},
      {{"init_lora_weights", "mica"}},
      {{"loftq_config", {{"loftq_bits", 4}}}},  // peft ignores it without loftq
      {{"fan_in_fan_out", true}},
      {{"peft_version", "0.21.2"}, {"qalora_group_size", 16}, {"lora_dropout", 0.05}},
      {{"use_zlora", false}, {"zlora_config", nullptr}, {"zlora_list", json::array()}},
      {{"layers_to_transform", {0}}, {"layers_pattern", "layers"}, {"exclude_modules", "lm_head"}},
      {{"peft_type", "LORA"}, {"task_type", nullptr}, {"auto_mapping", {{"a", "b"}}}}};
  for (const auto& row : rows) {
    CAPTURE(row.dump());
    const test::TempFolder folder;
    write(folder.path());
    json config = config_of(folder.path());
    config.update(row);
    REQUIRE(write_file(folder.path() + "/adapter_config.json", config.dump()).ok());
    const auto adapter = load_adapter(folder.path());
    CHECK_MESSAGE(adapter.ok(), adapter.error().what);
  }
}

TEST_CASE("targets are written as peft reads them") {
  AdapterConfig config;
  config.targets.names = {"v_proj", "q_proj"};
  config.targets.layers = {1, 2};
  config.targets.layers_pattern = {"layers"};
  config.targets.exclude = {"layers.1.self_attn.q_proj"};
  json out = json::parse(adapter_config_text(config));
  CHECK(out["target_modules"] == json({"q_proj", "v_proj"}));
  CHECK(out["layers_to_transform"] == json({1, 2}));
  CHECK(out["layers_pattern"] == json({"layers"}));
  CHECK(out["exclude_modules"] == json({"layers.1.self_attn.q_proj"}));
  config.targets = {};
  config.targets.pattern = ".*q_proj";
  config.targets.exclude_pattern = ".*0.*";
  out = json::parse(adapter_config_text(config));
  CHECK(out["target_modules"] == ".*q_proj");
  CHECK(out["layers_to_transform"] == nullptr);
  CHECK(out["exclude_modules"] == ".*0.*");
}

TEST_CASE("targets are read as peft reads them") {
  const auto named = [](std::vector<std::string> names) { return LoraTargets(std::move(names)); };
  LoraTargets pattern, layers = named({"q_proj"}), excluded = named({"q_proj"}), one = layers;
  pattern.pattern = ".*q_proj";
  layers.layers = {0, 2};
  layers.layers_pattern = {"layers"};
  one.layers = {1};
  excluded.exclude_pattern = ".*1.*";
  struct Row {
    std::string fields;
    LoraTargets targets;
    std::string wrong;
  };
  const Row rows[] = {
      {R"("target_modules": ["v_proj", "q_proj"])", named({"q_proj", "v_proj"}), ""},
      {R"("target_modules": ".*q_proj")", pattern, ""},
      {R"("target_modules": "all-linear")", named({"all-linear"}), ""},
      {R"("target_modules": null)", named({"q_proj", "v_proj"}), ""},  // peft's for these models
      {R"("target_modules": [])", {}, ""},
      {R"("target_modules": ["q_proj"], "layers_to_transform": [0, 2], "layers_pattern": "layers")",
       layers, ""},
      {R"("target_modules": ["q_proj"], "layers_to_transform": 1)", one, ""},
      {R"("target_modules": ["q_proj"], "exclude_modules": ".*1.*")", excluded, ""},
      {R"("target_modules": ["q_proj", 3])", {}, R"(target_modules is ["q_proj",3])"},
      {R"("target_modules": 3)", {}, "target_modules is 3"},
      {R"("target_modules": ["q_proj"], "layers_to_transform": ["a"])",
       {},
       R"(layers_to_transform is ["a"])"},
      {R"("target_modules": ["q_proj"], "exclude_modules": [1])", {}, "exclude_modules is [1]"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.fields);
    const auto config = parse_adapter_config(
        R"({"peft_type": "LORA", "r": 2, "lora_alpha": 2, )" + row.fields + "}", "a");
    CHECK(config.ok() == row.wrong.empty());
    if (config.ok())
      CHECK(config.value().targets == row.targets);
    else
      CHECK_MESSAGE(config.error().what.find(row.wrong) != std::string::npos, config.error().what);
  }
}

TEST_CASE("rsLoRA: a foreign adapter's scale is alpha / sqrt(r); ours says it in lora_alpha") {
  const auto foreign = parse_adapter_config(
      R"({"peft_type": "LORA", "r": 16, "lora_alpha": 8, "use_rslora": true})", "a");
  REQUIRE(foreign.ok());
  CHECK(foreign.value().scale() == 2.0);
  const json ours = json::parse(adapter_config_text(foreign.value()));
  CHECK(ours["lora_alpha"] == 32);
  CHECK(ours["use_rslora"] == false);
}

TEST_CASE("checkpoints: newest first, two kept, damage and strangers passed over") {
  const test::TempFolder folder;
  const std::string dir = folder.path();
  const auto save = [&](std::int64_t step, const std::string& fingerprint) {
    const std::vector<float> p(5, static_cast<float>(step)), m(5, 0.25f), v(5, 0.5f);
    REQUIRE(save_checkpoint(
                dir, {fingerprint, step, 100 * step, 1.5, {8, 4, 2, {}, {}, {}, 3}, {}, {6, 0}},
                {p, m, v})
                .ok());
  };
  CHECK(load_checkpoint(dir + "/absent", "f").error().code == Code::not_found);
  for (const std::int64_t step : {1, 2, 10}) save(step, "f");
  CHECK_FALSE(fs::exists(dir + "/checkpoint-1"));
  CHECK(fs::exists(dir + "/checkpoint-2"));
  auto newest = load_checkpoint(dir, "f");
  REQUIRE(newest.ok());
  CHECK(newest.value().state.shape == ComputeShape{8, 4, 2, {}, {}, {}, 3});
  CHECK(newest.value().state.limits == PlanLimits{6, 0});
  CHECK(newest.value().state.step == 10);
  CHECK(newest.value().state.tokens == 1000);
  CHECK(newest.value().parameters == std::vector<float>(5, 10.0f));
  CHECK(newest.value().second_moment == std::vector<float>(5, 0.5f));
  const auto stranger = load_checkpoint(dir, "g");
  CHECK(stranger.error().code == Code::not_found);
  CHECK(stranger.error().what.find("another model") != std::string::npos);

  struct Row {
    std::string name, file, content;
  };
  const std::vector<Row> rows = {{"truncated tensors", "state.safetensors", "short"},
                                 {"empty tensors", "state.safetensors", ""},
                                 {"torn state", "state.json", "{\"version\":1"},
                                 {"empty state", "state.json", ""},
                                 {"state of another version", "state.json", "{\"version\":2}"}};
  for (const auto& row : rows) {
    CAPTURE(row.name);
    save(10, "f");
    REQUIRE(write_file(dir + "/checkpoint-10/" + row.file, row.content).ok());
    const auto older = load_checkpoint(dir, "f");
    REQUIRE(older.ok());
    CHECK(older.value().state.step == 2);
  }
  save(3, "g");  // a run that starts anew removes what lies ahead of it
  CHECK_FALSE(fs::exists(dir + "/checkpoint-10"));
}
}  // namespace kairo::gpu
