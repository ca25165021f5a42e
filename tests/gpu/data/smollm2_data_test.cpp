// tests/gpu/data/smollm2_data_test.cpp - proves: SmolLM2's chats have the tokens of transformers'
// apply_chat_template, and the examples' data is read without settings.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>

#include "gpu/data/dataset.h"
#include "gpu/formats/files.h"
#include "gpu/formats/json.h"
#include "tests/gpu/support.h"

using namespace kairo;
using namespace kairo::gpu;

namespace {
Tokenizer loaded(const std::string& folder) {
  auto t = Tokenizer::load(folder);
  REQUIRE_MESSAGE(t.ok(), t.error().what);
  return std::move(t).value();
}
Tokenizer smollm2() {
  return loaded(test::smollm2_dir());
}
// SmolLM2's tokenizer with templates by their names.
Tokenizer smollm2_with(const nlohmann::ordered_json& templates) {
  const test::TempFolder folder;
  const std::string dir = test::smollm2_dir();
  REQUIRE(copy_file(dir + "/tokenizer.json", folder.path() + "/tokenizer.json").ok());
  auto config =
      parse_json<nlohmann::ordered_json>(read_file(dir + "/tokenizer_config.json", 1 << 20).value())
          .value();
  config["chat_template"] = nlohmann::ordered_json::array();
  for (const auto& item : templates.items())
    config["chat_template"].push_back({{"name", item.key()}, {"template", item.value()}});
  REQUIRE(write_file(folder.path() + "/tokenizer_config.json", config.dump()).ok());
  return loaded(folder.path());
}
Dataset load(const std::string& path, const TrainingConfig& config, const Tokenizer& t) {
  auto data = load_dataset(path, config, t);
  REQUIRE_MESSAGE(data.ok(), data.error().what);
  return std::move(data).value();
}
}  // namespace

// The numbers are AutoTokenizer.apply_chat_template's, transformers 5, on the same folder.
TEST_CASE("smollm2: one chat, token for token") {
  const std::vector<std::int32_t> expected = {
      1,  9690, 198, 2683, 359,   253,  5356, 5646, 11173, 3365, 3511, 308,   34519,
      28, 7018, 411, 407,  19712, 8182, 2,    198,  1,     4093, 198,  26843, 216,
      33, 34,   2,   198,  1,     520,  9531, 198,  10539, 30,   2,    198};
  const auto t = smollm2();
  const test::TempFolder folder;
  REQUIRE(write_file(folder.path() + "/a.jsonl", R"({"question":"Hi 12","answer":"Yes."})").ok());
  TrainingConfig config;
  config.train_test_split = 1;
  const auto answer = load(folder.path(), config, t).rows.at(0);
  CHECK(answer.tokens == expected);
  std::vector<std::int32_t> trained;
  for (std::size_t i = 0; i < answer.tokens.size(); ++i)
    if (answer.trained[i] != 0) trained.push_back(answer.tokens[i]);
  CHECK(trained == std::vector<std::int32_t>{10539, 30, 2});
  config.loss_on = LossOn::all;
  const auto all = load(folder.path(), config, t).rows.at(0);
  CHECK(all.tokens == expected);
  CHECK(std::count(all.trained.begin(), all.trained.end(), 1) == 37);
}

// tests/parity/rows_golden.py made them with trl 1.16. trl trains all behind the prompt; of a chat
// we train the answer through its end-of-turn token, without the line end behind it.
TEST_CASE("smollm2: rows of prompt and completion have the tokens and targets of trl") {
  const auto text = read_file(test::golden("smollm2_rows.json"), 1 << 20);
  REQUIRE(text.ok());
  const auto cases = parse_json<nlohmann::ordered_json>(text.value());
  REQUIRE(cases.ok());
  CHECK(cases.value().size() == 31);
  TrainingConfig config;
  config.train_test_split = 1;
  config.max_length = 0;
  for (const auto& c : cases.value()) {
    CAPTURE(c["name"].get<std::string>());
    auto t = c["template"].is_object() ? smollm2_with(c["template"]) : smollm2();
    if (c["template"].is_string() && c["template"] != "")
      REQUIRE(t.set_chat_template(c["template"].get<std::string>()).ok());
    const test::TempFolder folder;
    REQUIRE(write_file(folder.path() + "/a.jsonl", c["row"].dump()).ok());
    const auto row = load(folder.path(), config, t).rows.at(0);
    auto mask = c["mask"].get<std::vector<std::uint8_t>>();
    mask[0] = 0;  // nothing predicts the first token
    if (c["row"]["prompt"].is_array()) {
      CHECK(row.trained.back() == 0);
      mask.back() = 0;
    }
    CHECK(row.tokens == c["tokens"].get<std::vector<std::int32_t>>());
    CHECK(row.trained == mask);
  }
}

TEST_CASE("smollm2: the examples' data") {
  const auto t = smollm2();
  TrainingConfig config;
  config.train_test_split = 1;
  const std::string examples = std::string(KAIRO_SOURCE_DIR) + "/examples/";
  const auto pip = load(examples + "quickstart/data", config, t);
  CHECK(pip.rows.size() == 96);
  CHECK(pip.truncated == 0);
  const auto gsm8k = load(examples + "gsm8k", config, t);
  CHECK(gsm8k.rows.size() == 256);
  for (const auto* data : {&pip, &gsm8k})
    for (const auto& row : data->rows) {
      REQUIRE(row.tokens.size() == row.trained.size());
      const std::size_t n = row.tokens.size();
      CHECK(row.tokens[n - 2] == 2);  // the end-of-turn token is learned,
      CHECK(row.trained[n - 2] == 1);
      CHECK(row.trained[n - 1] == 0);  // the line end behind it is not
    }
}

int main(int argc, char** argv) {
  if (test::smollm2_dir().empty()) {
    std::puts(
        "SKIP: SmolLM2 is not in the cache's models/smollm2-135m-instruct (kairo-tune import)");
    return 77;
  }
  return doctest::Context(argc, argv).run();
}
