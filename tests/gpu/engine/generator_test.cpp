// tests/gpu/engine/generator_test.cpp - logits equal transformers', in one prompt, token by token,
// beside other slots and with adapters; wrong feeds change nothing.
#include "gpu/engine/generator.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "gpu/formats/adapter.h"
#include "tests/gpu/support.h"

namespace kairo::gpu {
namespace {
using test::Golden;
constexpr std::size_t vocab = 160;
constexpr double tolerance = 2e-5;

std::unique_ptr<Generator> load(const GeneratorOptions& options) {
  auto generator = Generator::load(options);
  REQUIRE_MESSAGE(generator.ok(), generator.error().what);
  return std::move(generator).value();
}
std::vector<float> feed(Generator& generator, std::vector<Feed> feeds) {
  const auto logits = generator.feed(feeds);
  REQUIRE_MESSAGE(logits.ok(), logits.error().what);
  return {logits.value().begin(), logits.value().end()};
}
// Writes the golden adapter as a PEFT folder.
void write_golden_adapter(const Golden& file, const std::string& dir,
                          const LoraTargets& targets = {"q_proj", "k_proj", "v_proj", "o_proj",
                                                        "gate_proj", "up_proj", "down_proj"}) {
  std::vector<std::vector<float>> values;
  std::vector<TensorToWrite> tensors;
  const auto names = file.names("value.");
  for (const auto& name : names) values.push_back(file.floats("value." + name));
  for (std::size_t i = 0; i < names.size(); ++i)
    tensors.push_back({names[i], file.shape("value." + names[i]), values[i]});
  AdapterConfig config;
  config.rank = 4;
  config.alpha = 8;
  config.targets = targets;
  REQUIRE(write_adapter(dir, config, tensors).ok());
}
// Row `position` of a golden (tokens, vocab) matrix.
std::vector<float> row(const std::vector<float>& logits, std::size_t position) {
  const auto begin = logits.begin() + static_cast<std::ptrdiff_t>(position * vocab);
  return {begin, begin + static_cast<std::ptrdiff_t>(vocab)};
}
}  // namespace

TEST_CASE("logits equal transformers' for every way to feed the same tokens") {
  for (const std::string model : {"tiny_llama", "tiny_llama3"}) {
    CAPTURE(model);
    const Golden file(model == "tiny_llama" ? "tiny_lora.safetensors" : "tiny3_lora.safetensors");
    const test::TempFolder folder;
    write_golden_adapter(file, folder.path());
    GeneratorOptions options;
    options.model_dir = test::golden(model);
    options.adapters = {{"tuned", folder.path(), 1.0f}, {"silent", folder.path(), 0.0f}};
    options.slots = 4;
    options.context_tokens = 80;
    options.threads = 2;
    const auto generator = load(options);
    CHECK(generator->vocab() == static_cast<int>(vocab));
    const auto tokens = test::golden_rows(file).tokens[2];
    const std::span<const std::int32_t> all = tokens;
    const auto base = file.floats("logits.base"), tuned = file.floats("logits");
    const std::size_t last = tokens.size() - 1;

    SUBCASE("one prompt per slot, four kinds at once") {
      const auto out =
          feed(*generator, {{0, all, -1}, {1, all, 0}, {2, all, 1}, {3, all.first(9), 0}});
      CHECK(test::largest_difference(row(out, 0), row(base, last)) <= tolerance);
      CHECK(test::largest_difference(row(out, 1), row(tuned, last)) <= tolerance);
      CHECK(test::largest_difference(row(out, 2), row(base, last)) <= tolerance);
      CHECK(test::largest_difference(row(out, 3), row(tuned, 8)) <= tolerance);
      CHECK(generator->length(1) == static_cast<int>(tokens.size()));
    }
    SUBCASE("token by token") {
      for (std::size_t i = 0; i <= last; ++i) {
        CAPTURE(i);
        const auto out = feed(*generator, {{2, all.subspan(i, 1), 0}, {0, all.subspan(i, 1), -1}});
        REQUIRE(test::largest_difference(row(out, 0), row(tuned, i)) <= tolerance);
        REQUIRE(test::largest_difference(row(out, 1), row(base, i)) <= tolerance);
      }
    }
    SUBCASE("in pieces, beside a slot that starts later, and again after reset") {
      for (int round = 0; round < 2; ++round) {
        feed(*generator, {{1, all.first(20), 0}});
        feed(*generator, {{3, all.first(5), -1}, {1, all.subspan(20, 3), 0}});
        const auto out = feed(*generator, {{1, all.subspan(23), 0}, {3, all.subspan(5, 1), -1}});
        CHECK(test::largest_difference(row(out, 0), row(tuned, last)) <= tolerance);
        CHECK(test::largest_difference(row(out, 1), row(base, 5)) <= tolerance);
        generator->reset(1);
        generator->reset(3);
        CHECK(generator->length(1) == 0);
      }
    }
  }
}

TEST_CASE("what a slot keeps gives the bits of computing it anew, in place and as a copy") {
  const Golden file("tiny_lora.safetensors");
  const test::TempFolder folder;
  write_golden_adapter(file, folder.path());
  GeneratorOptions options;
  options.model_dir = test::golden("tiny_llama");
  options.adapters = {{"tuned", folder.path(), 1.0f}};
  options.slots = 3;
  options.context_tokens = 80;
  options.threads = 2;
  const auto generator = load(options);
  CHECK(generator->turns_at() == 80);
  const auto tokens = test::golden_rows(file).tokens[2];
  const std::span<const std::int32_t> all = tokens;
  feed(*generator, {{0, all.first(10), 0}, {1, all.first(3), -1}});
  feed(*generator, {{1, all.subspan(3, 2), -1}, {0, all.subspan(10, 3), 0}});
  CHECK(std::ranges::equal(generator->tokens(0), all.first(13)));
  CHECK(generator->adapter(0) == 0);
  CHECK(generator->tokens(3).empty());

  generator->copy(0, 1, 9);  // replaces what it had, and its adapter
  CHECK(generator->length(1) == 9);
  CHECK(generator->adapter(1) == 0);
  generator->cut(0, 10);
  CHECK(generator->length(0) == 10);
  const auto fresh = feed(*generator, {{2, all.first(16), 0}});
  CHECK(feed(*generator, {{0, all.subspan(10, 6), 0}}) == fresh);
  CHECK(feed(*generator, {{1, all.subspan(9, 7), 0}}) == fresh);

  generator->cut(0, 99);  // it has no more
  CHECK(generator->length(0) == 16);
  generator->copy(2, 2, 3);  // itself: nothing
  CHECK(generator->length(2) == 16);
  generator->cut(0, 0);
  CHECK(generator->adapter(0) == -1);
  generator->copy(0, 1, 5);
  CHECK(generator->length(1) == 0);
  feed(*generator, {{1, all.first(2), -1}});  // nothing is left of the adapter either
}

TEST_CASE("an adapter that comes later answers as one that was there, and leaves nothing behind") {
  const Golden file("tiny_lora.safetensors");
  const test::TempFolder folder;
  write_golden_adapter(file, folder.path());
  GeneratorOptions options;
  options.model_dir = test::golden("tiny_llama");
  options.slots = 3;
  options.context_tokens = 80;
  options.threads = 2;
  const auto tokens = test::golden_rows(file).tokens[2];
  const std::span<const std::int32_t> all = tokens;
  GeneratorOptions with = options;
  with.adapters = {{"tuned", folder.path(), 1.0f}, {"half", folder.path(), 0.5f}};
  const auto there = load(with);
  const auto tuned = feed(*there, {{0, all.first(9), 0}}),
             half = feed(*there, {{1, all.first(9), 1}});
  const auto base = feed(*there, {{2, all.first(9), -1}});

  const auto generator = load(options);
  feed(*generator, {{2, all.first(20), -1}});  // its buffers know no adapter yet
  auto read = generator->read({"tuned", folder.path(), 1.0f});
  REQUIRE_MESSAGE(read.ok(), read.error().what);
  CHECK(generator->add(read.value()) == 0);
  CHECK(generator->add(generator->read({"half", folder.path(), 0.5f}).value()) == 1);
  generator->reset(2);
  const auto all_three =
      feed(*generator, {{0, all.first(9), 0}, {1, all.first(9), 1}, {2, all.first(9), -1}});
  CHECK(std::vector(all_three.begin(), all_three.begin() + vocab) == tuned);
  CHECK(std::vector(all_three.begin() + vocab, all_three.begin() + 2 * vocab) == half);
  CHECK(std::vector(all_three.begin() + 2 * vocab, all_three.end()) == base);

  generator->drop(0);
  CHECK(generator->length(0) == 0);
  CHECK(generator->adapter(0) == -1);
  CHECK(generator->length(1) == 9);
  CHECK_FALSE(generator->feed(std::vector<Feed>{{0, all.first(2), 0}}).ok());
  generator->drop(0);
  generator->drop(-1);
  generator->drop(99);
  CHECK(generator->length(2) == 9);
  CHECK(generator->add(generator->read({"again", folder.path(), 1.0f}).value()) == 2);
  CHECK(feed(*generator, {{0, all.first(9), 2}}) == tuned);
  const test::TempFolder empty;
  const auto none = generator->read({"none", empty.path(), 1.0f});
  REQUIRE_FALSE(none.ok());
  CHECK(none.error().code == Code::not_found);
}

TEST_CASE("who else is in the batch, and with which adapter, changes no bit of an answer") {
  const Golden file("tiny_lora.safetensors");
  const test::TempFolder folder;
  write_golden_adapter(file, folder.path());
  GeneratorOptions options;
  options.model_dir = test::golden("tiny_llama");
  options.adapters = {{"tuned", folder.path(), 1.0f}, {"half", folder.path(), 0.5f}};
  options.slots = 5;
  options.context_tokens = 80;
  options.threads = 2;
  const auto generator = load(options);
  const auto tokens = test::golden_rows(file).tokens[2];
  const std::span<const std::int32_t> all = tokens;
  for (const int adapter : {-1, 0, 1}) {
    CAPTURE(adapter);
    for (int slot = 0; slot < 5; ++slot) generator->reset(slot);
    const auto alone = feed(*generator, {{0, all.first(3), adapter}});
    const auto beside = feed(*generator, {{4, all.subspan(1, 4), 1},
                                          {2, all.first(3), adapter},
                                          {1, all.subspan(2, 5), adapter},
                                          {3, all.subspan(5, 2), 0}});
    CHECK(row(beside, 1) == row(alone, 0));
  }
}

TEST_CASE("an adapter with matrices that its own config does not choose is refused") {
  const Golden file("tiny_lora.safetensors");
  struct Row {
    std::string name;
    LoraTargets targets;
    std::string what;  // "": it is taken
  };
  LoraTargets layers = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                        "gate_proj", "up_proj", "down_proj"};
  LoraTargets excluded = layers, all = layers;
  layers.layers = {0};
  excluded.exclude = {"layers.0.mlp.up_proj"};
  LoraTargets some, every;
  some.pattern = ".*\\.self_attn\\..*";
  every.pattern = ".*_proj";
  LoraTargets wrong;
  wrong.pattern = "(?=x).*";
  const std::string q = "model.layers.0.self_attn.q_proj";
  const Row rows[] = {
      {"all by name", all, ""},
      {"all-linear", {"all-linear"}, ""},
      {"all by an expression", every, ""},
      {"one module", {"q_proj"}, "model.layers.0.mlp.down_proj: adapter_model.safetensors has"},
      {"one path", {q}, "model.layers.0.mlp.down_proj: "},
      {"one layer", layers, "model.layers.1.mlp.down_proj: "},
      {"one excluded", excluded, "model.layers.0.mlp.up_proj: "},
      {"an expression", some, "model.layers.0.mlp.down_proj: "},
      {"an expression that is none here", wrong, "adapter_config.json: target_modules: "},
      {"none", {}, "adapter_config.json: target_modules: is empty"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const test::TempFolder folder;
    write_golden_adapter(file, folder.path(), row.targets);
    GeneratorOptions options;
    options.model_dir = test::golden("tiny_llama");
    options.adapters = {{"tuned", folder.path(), 1.0f}};
    options.slots = 1;
    options.context_tokens = 16;
    options.threads = 1;
    const auto result = Generator::load(options);
    CHECK(result.ok() == row.what.empty());
    if (result.ok() || row.what.empty()) continue;
    CHECK(result.error().code == Code::invalid);
    CHECK_MESSAGE(result.error().what.find(row.what) != std::string::npos, result.error().what);
  }
}

TEST_CASE("a wrong feed is an error and changes nothing") {
  GeneratorOptions options;
  options.model_dir = test::golden("tiny_llama");
  options.slots = 2;
  options.context_tokens = 4;
  options.threads = 1;
  const auto generator = load(options);
  const std::vector<std::int32_t> tokens = {1, 2, 3, 4, 5}, outside = {160}, negative = {-1};
  const std::span<const std::int32_t> all = tokens;
  feed(*generator, {{0, all.first(2), -1}});
  struct Case {
    std::string name;
    std::vector<Feed> feeds;
    std::string what;
  };
  const std::vector<Case> cases = {
      {"none", {}, "nothing"},
      {"slot below", {{-1, all.first(1), -1}}, "slot -1"},
      {"slot above", {{2, all.first(1), -1}}, "slot 2"},
      {"slot twice", {{1, all.first(1), -1}, {1, all.first(1), -1}}, "twice"},
      {"no token", {{1, {}, -1}}, "no token"},
      {"one too many", {{0, all.first(3), -1}}, "full"},
      {"second feed is bad", {{1, all.first(1), -1}, {0, outside, -1}}, "token 160"},
      {"negative token", {{0, negative, -1}}, "token -1"},
      {"unknown adapter", {{1, all.first(1), 0}}, "adapter 0"}};
  for (const auto& c : cases) {
    CAPTURE(c.name);
    const auto result = generator->feed(c.feeds);
    REQUIRE_FALSE(result.ok());
    CHECK(result.error().code == Code::invalid);
    CHECK(result.error().what.find(c.what) != std::string::npos);
    CHECK(generator->length(0) == 2);
    CHECK(generator->length(1) == 0);
  }
  feed(*generator, {{0, all.first(2), -1}});  // exactly full
  CHECK(generator->length(0) == 4);
}

TEST_CASE("options that cannot work are refused") {
  const test::TempFolder empty;
  struct Case {
    std::string name, dir;
    int slots, context;
    std::vector<AdapterSource> adapters;
    Code code;
  };
  const std::string tiny = test::golden("tiny_llama");
  const std::vector<Case> cases = {
      {"no model", empty.path(), 1, 16, {}, Code::not_found},
      {"no slot", tiny, 0, 16, {}, Code::invalid},
      {"beyond the model's positions", tiny, 1, 257, {}, Code::invalid},
      {"no adapter there", tiny, 1, 16, {{"a", empty.path(), 1}}, Code::not_found}};
  for (const auto& c : cases) {
    CAPTURE(c.name);
    GeneratorOptions options;
    options.model_dir = c.dir;
    options.slots = c.slots;
    options.context_tokens = c.context;
    options.adapters = c.adapters;
    const auto result = Generator::load(options);
    REQUIRE_FALSE(result.ok());
    CHECK(result.error().code == c.code);
  }
}
}  // namespace kairo::gpu
