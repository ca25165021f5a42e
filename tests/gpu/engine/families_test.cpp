// tests/gpu/engine/families_test.cpp - a tiny random model of each family computes what
// transformers and peft compute: loss, the gradient of every LoRA tensor, logits in one piece and
// token by token.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "gpu/aten/aten_ops.h"
#include "gpu/engine/engine.h"
#include "gpu/engine/generator.h"
#include "gpu/engine/tune_result.h"
#include "gpu/formats/adapter.h"
#include "gpu/formats/files.h"
#include "tests/gpu/aten/emulated.h"
#include "tests/gpu/aten/on_gpu.h"
#include "tests/gpu/support.h"

namespace kairo::gpu {
namespace {
using nlohmann::json;
constexpr double logit_bound = 2e-5;
struct Bounds {
  double gradient, loss;
};
// bf16 keeps eight bits of each factor; a tiny model's few terms average little of that away, least
// in the gradients of q and k, which are differences (measured: up to 6.0e-2, all others 4e-2).
constexpr Bounds in_fp32 = {1e-5, 1e-6}, in_bf16 = {8e-2, 5e-3};
constexpr std::int64_t rank = 2, alpha = 4, vocabulary = 96;
constexpr std::size_t row_lengths[] = {29, 13};

// Of a row whose tokens turn otherwise once it is long, the logits before that are not the row's.
std::size_t comparable_from(const std::string& name, std::size_t length) {
  return name == "phi3_long" && length > 16 ? 16 : 0;
}

// The values that tests/parity/family_golden.py gives a tensor: u in [-1, 1) as an adapter's start.
std::vector<float> values_of(const std::string& name, const std::vector<std::int64_t>& shape) {
  const bool is_bias = name.ends_with("bias"), is_norm = shape.size() == 1 && !is_bias;
  std::uint64_t start = 0xCBF29CE484222325;
  for (const char c : name) start = (start ^ static_cast<unsigned char>(c)) * 0x100000001B3;
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  std::vector<float> out;
  for (std::int64_t i = 1; i <= count; ++i) {
    std::uint64_t z = start + static_cast<std::uint64_t>(i) * 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    z ^= z >> 31;
    const auto u = static_cast<float>(2.0 * static_cast<double>(z >> 40) / 16777216.0 - 1.0);
    const float scaled = u * (is_bias ? 0.1f : 0.25f);
    out.push_back(is_norm ? 1.0f + scaled : scaled);
  }
  return out;
}
std::vector<std::int32_t> row_of(std::size_t length) {
  std::vector<std::int32_t> out;
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(length); ++i)
    out.push_back((7 + 13 * i + 5 * i * i) % static_cast<std::int32_t>(vocabulary));
  return out;
}

struct Named {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};
std::vector<TensorToWrite> views(const std::vector<Named>& tensors) {
  std::vector<TensorToWrite> out;
  for (const auto& t : tensors) out.push_back({t.name, t.shape, t.values});
  return out;
}
// A model folder and an adapter folder of one case.
struct Model {
  test::TempFolder folder;
  std::string dir = folder.path() + "/model", adapter = folder.path() + "/adapter";
  std::vector<std::string> targets;

  Model(const std::string& name, const json& of, const test::Golden& golden) {
    std::filesystem::create_directories(dir);
    REQUIRE(write_file(dir + "/config.json", of["config"].dump()).ok());
    std::vector<Named> tensors;
    for (const auto& [tensor, shape] : of["parameters"].items())
      tensors.push_back({tensor, shape, values_of(tensor, shape)});
    REQUIRE(write_tensors(dir + "/model.safetensors", views(tensors)).ok());
    targets = of["targets"].get<std::vector<std::string>>();
    std::vector<Named> parts;
    for (const std::string& part : golden.names(name + "/grad."))
      parts.push_back({part, golden.shape(name + "/grad." + part),
                       values_of(part, golden.shape(name + "/grad." + part))});
    AdapterConfig config;
    config.rank = rank;
    config.alpha = alpha;
    config.targets = targets;
    REQUIRE(write_adapter(adapter, config, views(parts)).ok());
  }
};

// "" or the error: loss and gradients of a step over both rows.
std::string train(const std::string& name, const Model& model, const test::Golden& golden,
                  std::optional<Products> bf16 = std::nullopt, const DevicePtr& device = nullptr) {
  const Bounds bounds = bf16 ? in_bf16 : in_fp32;
  EngineOptions options;
  options.type = bf16 ? Type::bf16 : Type::f32;
  options.products = bf16;
  options.device = device;
  options.model_dir = model.dir;
  options.rank = rank;
  options.alpha = alpha;
  options.targets = model.targets;
  options.tokens_per_step = 64;
  options.longest_row = 32;
  options.threads = 1;
  options.budget_bytes = 1 << 30;
  auto loaded = Engine::load(options);
  if (!loaded.ok()) return loaded.error().what;
  Engine& engine = *loaded.value();
  const auto before = engine.state().parameters;
  std::vector<float> parameters(before.begin(), before.end()), zero(before.size(), 0.0f);
  for (const auto& t : adapter_tensors(engine.layout(), before))
    std::ranges::copy(values_of(t.name, t.shape),
                      parameters.begin() + (t.values.data() - before.data()));
  REQUIRE(engine.restore({parameters, zero, zero}).ok());
  std::vector<std::vector<std::int32_t>> tokens;
  std::vector<std::vector<std::uint8_t>> trained;
  std::vector<TrainRow> rows;
  std::int64_t targets = 0;
  for (const std::size_t length : row_lengths) {
    tokens.push_back(row_of(length));
    trained.emplace_back(length, 1);
    targets += static_cast<std::int64_t>(length) - 1;
  }
  for (std::size_t i = 0; i < tokens.size(); ++i) rows.push_back({tokens[i], trained[i]});
  const auto loss = engine.accumulate(rows, targets, 0);
  REQUIRE_MESSAGE(loss.ok(), loss.error().what);
  const double wanted = golden.floats(name + "/loss")[0];
  CHECK(loss.value() / static_cast<double>(targets) ==
        doctest::Approx(wanted).epsilon(bounds.loss));
  const auto gradients = adapter_tensors(engine.layout(), engine.gradient());
  CHECK(gradients.size() == golden.names(name + "/grad.").size());
  for (const auto& t : gradients) {
    CAPTURE(t.name);
    CHECK(test::relative_difference(t.values, golden.floats(name + "/grad." + t.name)) <=
          bounds.gradient);
  }
  return "";
}

void generate(const std::string& name, const Model& model, const test::Golden& golden,
              const DevicePtr& device = nullptr) {
  GeneratorOptions options;
  options.model_dir = model.dir;
  options.adapters = {{"tuned", model.adapter, 1.0f}};
  options.slots = 2;
  options.context_tokens = 32;
  options.threads = 1;
  options.device = device;
  const auto loaded = Generator::load(options);
  REQUIRE_MESSAGE(loaded.ok(), loaded.error().what);
  Generator& generator = *loaded.value();
  const auto differs = [&](std::span<const float> logits, const std::vector<float>& wanted,
                           std::size_t position) {
    const std::span<const float> row(wanted.data() + position * vocabulary, vocabulary);
    return test::largest_difference(logits, row) > logit_bound;
  };
  for (std::size_t i = 0; i < std::size(row_lengths); ++i) {
    CAPTURE(i);
    const auto tokens = row_of(row_lengths[i]);
    const auto wanted = golden.floats(name + "/logits." + std::to_string(i));
    generator.reset(0);
    generator.reset(1);
    const std::vector<Feed> whole = {{0, tokens, 0}};
    const auto at_once = generator.feed(whole);
    REQUIRE(at_once.ok());
    CHECK_FALSE(differs(at_once.value(), wanted, tokens.size() - 1));
    std::size_t wrong = 0;
    for (std::size_t t = 0; t < tokens.size(); ++t) {
      const std::vector<Feed> one = {{1, std::span(tokens).subspan(t, 1), 0}};
      const auto next = generator.feed(one);
      REQUIRE(next.ok());
      if (t >= comparable_from(name, tokens.size()))
        wrong += differs(next.value(), wanted, t) ? 1 : 0;
    }
    CHECK(wrong == 0);
  }
}

// The last token's logits.
std::vector<float> fed(Generator& generator, int slot, std::span<const std::int32_t> tokens,
                       std::size_t piece) {
  std::vector<float> out;
  while (!tokens.empty()) {
    const std::vector<Feed> one = {{slot, tokens.first(std::min(piece, tokens.size())), 0}};
    const auto logits = generator.feed(one);
    REQUIRE_MESSAGE(logits.ok(), logits.error().what);
    out.assign(logits.value().begin(), logits.value().end());
    tokens = tokens.subspan(one[0].tokens.size());
  }
  return out;
}
// What stays of a sequence that another begins like gives the bits of computing it anew, in
// whatever pieces.
void reuse(const std::string& name, const Model& model, const DevicePtr& device = nullptr) {
  GeneratorOptions options;
  options.model_dir = model.dir;
  options.adapters = {{"tuned", model.adapter, 1.0f}};
  options.slots = 3;
  options.context_tokens = 32;
  options.threads = 1;
  options.device = device;
  const auto loaded = Generator::load(options);
  REQUIRE_MESSAGE(loaded.ok(), loaded.error().what);
  Generator& generator = *loaded.value();
  struct Row {
    std::size_t before, common, now;  // tokens
    int long_stays;                   // where sequences of more than 16 tokens turn
  };
  const Row rows[] = {{29, 20, 27, 20}, {29, 12, 14, 0},  {29, 16, 27, 0},
                      {14, 10, 13, 10}, {14, 10, 27, 10}, {14, 0, 9, 0}};
  CHECK(generator.turns_at() == (name == "phi3_long" ? 16 : 32));
  for (const Row& row : rows) {
    CAPTURE(row.before);
    CAPTURE(row.common);
    auto tokens = row_of(row.now);
    for (std::size_t i = row.common; i < tokens.size(); ++i) tokens[i] = (tokens[i] + 31) % 96;
    for (int slot = 0; slot < 3; ++slot) generator.reset(slot);
    const auto anew = fed(generator, 0, tokens, tokens.size());
    fed(generator, 1, row_of(row.before), 7);
    generator.copy(1, 2, static_cast<int>(row.common));
    generator.cut(1, static_cast<int>(row.common));
    for (const int slot : {1, 2}) {
      const int stays = name == "phi3_long" ? row.long_stays : static_cast<int>(row.common);
      REQUIRE(generator.length(slot) == stays);
      const auto rest = std::span(tokens).subspan(static_cast<std::size_t>(stays));
      CHECK(fed(generator, slot, rest, 5) == anew);
    }
  }
}
// ATen's operators, over memory that is as strange to the host as a GPU's.
DevicePtr aten() {
  Device device{"aten-cpu", "ATen", "", 0, [](int threads) -> Result<std::unique_ptr<Ops>> {
                  return make_aten_ops("cpu", threads);
                }};
  return std::make_shared<const Device>(std::move(device));
}
}  // namespace

TEST_CASE("families: loss, gradients and logits are those of transformers and peft") {
  const test::Golden golden("families.safetensors");
  const json cases = json::parse(read_file(test::golden("families.json"), 1 << 20).value());
  std::size_t computed = 0;
  for (const auto& [name, of] : cases.items()) {
    CAPTURE(name);
    const Model model(name, of, golden);
    const std::string error = train(name, model, golden);
    REQUIRE_MESSAGE(error == "", error);
    generate(name, model, golden);
    reuse(name, model);
    if (is_possible(Products::mkl)) CHECK(train(name, model, golden, Products::mkl) == "");
    ++computed;
  }
  CHECK(computed == 28);
}

namespace {
#ifdef __SANITIZE_ADDRESS__
constexpr std::size_t one_of = 4;  // ten times slower, and the same code for each family
#else
constexpr std::size_t one_of = 1;
#endif
// reused: of so many families one's cache is reused, too.
void check_families_on(const DevicePtr& device, std::size_t reused) {
  const test::Golden golden("families.safetensors");
  const json cases = json::parse(read_file(test::golden("families.json"), 1 << 20).value());
  std::size_t computed = 0;
  for (const auto& [name, of] : cases.items()) {
    const std::size_t index = computed++;
    if (index % one_of != 0) continue;
    CAPTURE(name);
    const Model model(name, of, golden);
    CHECK(train(name, model, golden, std::nullopt, device) == "");
    CHECK(train(name, model, golden, Products::device, device) == "");
    generate(name, model, golden, device);
    if (index % reused == 0) reuse(name, model, device);
  }
  CHECK(computed == 28);
}
}  // namespace

TEST_CASE("families: a device's operators compute the same") {
  check_families_on(aten(), 1);
}
TEST_CASE("families: so do kairo's kernels, emulated") {
  check_families_on(test::emulated(), 4);
}
TEST_CASE("families: so do they on a GPU") {
  if (const DevicePtr gpu = test::gpu()) check_families_on(gpu, 1);
}
}  // namespace kairo::gpu
