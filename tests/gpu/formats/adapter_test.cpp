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
  const std::vector<Row> rows = {
      {"dora", {{"use_dora", true}}, "use_dora"},
      {"rank pattern", {{"rank_pattern", {{"q_proj", 4}}}}, "rank_pattern"},
      {"saved modules", {{"modules_to_save", {"lm_head"}}}, "modules_to_save"},
      {"bias", {{"bias", "all"}}, "bias"},
      {"transposed", {{"fan_in_fan_out", true}}, "fan_in_fan_out"},
      {"another method", {{"peft_type", "IA3"}}, "peft_type"},
      {"no rank", {{"r", nullptr}}, "r is not an integer"},
      {"huge rank", {{"r", 100000}}, "out of range"},
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

TEST_CASE("checkpoints: newest first, two kept, damage and strangers passed over") {
  const test::TempFolder folder;
  const std::string dir = folder.path();
  const auto save = [&](std::int64_t step, const std::string& fingerprint) {
    const std::vector<float> p(5, static_cast<float>(step)), m(5, 0.25f), v(5, 0.5f);
    REQUIRE(save_checkpoint(dir, {fingerprint, step, 100 * step, 1.5, {8, 4, 2}}, {p, m, v}).ok());
  };
  CHECK(load_checkpoint(dir + "/absent", "f").error().code == Code::not_found);
  for (const std::int64_t step : {1, 2, 10}) save(step, "f");
  CHECK_FALSE(fs::exists(dir + "/checkpoint-1"));
  CHECK(fs::exists(dir + "/checkpoint-2"));
  auto newest = load_checkpoint(dir, "f");
  REQUIRE(newest.ok());
  CHECK(newest.value().state.shape == ComputeShape{8, 4, 2});
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
