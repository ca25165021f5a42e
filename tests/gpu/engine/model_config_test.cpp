// tests/gpu/engine/model_config_test.cpp - every field of a config.json that changes what
// transformers computes is done or refused: the same logits, or an error that names the field.
#include "gpu/formats/model_config.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "gpu/engine/generator.h"
#include "gpu/formats/files.h"
#include "tests/gpu/support.h"

namespace kairo::gpu {
namespace {
using nlohmann::json;
constexpr double logit_tolerance = 2e-5;
constexpr std::size_t logits_apart = 20;

// "" or the error. logits: after the last of the golden file's tokens.
std::string compute(const json& config, std::vector<float>& logits) {
  const test::TempFolder folder;
  std::filesystem::create_symlink(test::golden("tiny_llama") + "/model.safetensors",
                                  folder.path() + "/model.safetensors");
  REQUIRE(write_file(folder.path() + "/config.json", config.dump()).ok());
  GeneratorOptions options;
  options.model_dir = folder.path();
  options.slots = 1;
  options.context_tokens = 64;
  options.threads = 1;
  const auto generator = Generator::load(options);
  if (!generator.ok()) return generator.error().what;
  std::vector<std::int32_t> tokens;
  for (std::int32_t i = 3; i < 51; ++i) tokens.push_back(i * 37 % 150 + 3);
  const std::vector<Feed> feeds = {{0, tokens, -1}};
  const auto out = generator.value()->feed(feeds);
  REQUIRE(out.ok());
  logits.assign(out.value().begin(), out.value().end());
  return "";
}
}  // namespace

TEST_CASE("a config's fields are computed as transformers does, or refused") {
  const json rows = json::parse(read_file(test::golden("model_config.json"), 1 << 20).value());
  // What transformers runs and we refuse: each says why.
  const std::vector<std::string> refused = {
      "hidden_act", "sliding_window", "partial_rotary_factor", "rope_type",
      "is_causal",  "model_type",     "attention_bias",        "model.embed_tokens"};
  int computed = 0, trained = 0;
  const test::Golden golden("model_config.safetensors");
  const auto computed_there = golden.names("logits.");
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const json& row = rows[r];
    const bool is_whole =
        std::ranges::find(computed_there, std::to_string(r)) != computed_there.end();
    CAPTURE(row["name"].get<std::string>());
    const std::string changes = row["changes"];
    std::vector<float> logits;
    const std::string error = compute(row["config"], logits);
    if (!error.empty()) {
      const bool is_named = std::ranges::any_of(refused, [&](const std::string& field) {
        return error.find(field) != std::string::npos;
      });
      CHECK_MESSAGE((is_named || !is_whole), error);
      continue;
    }
    CHECK(changes != "weights");
    if (!is_whole) {  // transformers itself fails at these
      const std::string name = row["name"];
      CHECK((name == R"({"attention_dropout": null})" || name == R"({"model_type": "<absent>"})"));
      continue;
    }
    ++computed;
    const auto wanted = golden.floats("logits." + std::to_string(r));
    REQUIRE(wanted.size() == 8);
    for (std::size_t i = 0; i < wanted.size(); ++i)
      CHECK(std::abs(logits[i * logits_apart] - wanted[i]) <= logit_tolerance);
    const auto config = parse_model_config(row["config"].dump(), "config.json");
    REQUIRE(config.ok());
    CHECK(check_training(config.value()).ok() == (changes != "training"));
    trained += changes == "training" ? 1 : 0;
  }
  CHECK(computed >= 35);
  CHECK(trained == 2);
}
}  // namespace kairo::gpu
