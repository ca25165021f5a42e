// tests/gpu/model/lora_layout_test.cpp - targets match as peft's do, offsets tile the buffer, the
// start values are the documented ones, and rope frequencies follow transformers'.
#include "gpu/model/lora_choice.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "gpu/model/rope_table.h"

namespace kairo::gpu {
namespace {
ModelConfig tiny() {
  ModelConfig c;
  c.hidden = 64;
  c.layers = 3;
  c.heads = 4;
  c.kv_heads = 2;
  c.head_dim = 16;
  c.intermediate = 96;
  c.vocab = 160;
  c.positions = 64;
  return c;
}
}  // namespace

TEST_CASE("targets match by suffix; the lowest adapted group is known") {
  struct Row {
    std::string name;
    std::vector<std::string> targets;
    std::size_t modules;
    std::int64_t lowest_layer;
    Group lowest_group;
  };
  const std::vector<Row> rows = {
      {"all", {"all-linear"}, 21, 0, Group::qkv},
      {"two names", {"q_proj", "v_proj"}, 6, 0, Group::qkv},
      {"only the last module", {"down_proj"}, 3, 0, Group::down},
      {"one layer", {"layers.2.mlp.up_proj"}, 1, 2, Group::gate_up},
      {"full path", {"model.layers.1.self_attn.o_proj"}, 1, 1, Group::o}};
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const auto layout = make_lora_layout(tiny(), 4, 2.0, row.targets);
    REQUIRE_MESSAGE(layout.ok(), layout.error().what);
    const auto& l = layout.value();
    CHECK(l.modules.size() == row.modules);
    CHECK(l.lowest_layer == row.lowest_layer);
    CHECK(l.lowest_group == row.lowest_group);
    std::vector<int> covered(static_cast<std::size_t>(l.parameters), 0);
    for (const auto& m : l.modules) {
      for (std::int64_t i = 0; i < m.rank * m.in; ++i)
        ++covered[static_cast<std::size_t>(m.a_offset + i)];
      for (std::int64_t i = 0; i < m.rank * m.out; ++i)
        ++covered[static_cast<std::size_t>(m.b_offset + i)];
    }
    CHECK(std::ranges::all_of(covered, [](int n) { return n == 1; }));
  }
}

TEST_CASE("the last module of the forward pass whose gradient is not finite") {
  const std::vector<std::string> targets = {"q_proj", "v_proj"};
  const auto layout = make_lora_layout(tiny(), 4, 2.0, targets).value();
  std::vector<float> values(static_cast<std::size_t>(layout.parameters), 1.0f);
  CHECK(last_not_finite(layout, values) == "");
  const auto spoil = [&](std::int64_t at, float value) {
    values[static_cast<std::size_t>(at)] = value;
  };
  spoil(layout.modules[0].a_offset, INFINITY);
  CHECK(last_not_finite(layout, values) == "model.layers.0.self_attn.q_proj");
  spoil(layout.modules[3].b_offset + 4 * layout.modules[3].out - 1, NAN);
  CHECK(last_not_finite(layout, values) == "model.layers.1.self_attn.v_proj");
}

TEST_CASE("targets and ranks that cannot be") {
  struct Row {
    std::string name;
    std::int64_t rank;
    std::vector<std::string> targets;
    std::string what;
  };
  const std::vector<Row> rows = {{"part of a name", 4, {"proj"}, "\"proj\""},
                                 {"one of two", 4, {"q_proj", "qkv_proj"}, "\"qkv_proj\""},
                                 {"a layer too high", 4, {"layers.3.mlp.up_proj"}, "layers.3"},
                                 {"none", 4, {}, "is empty"},
                                 {"rank 0", 0, {"q_proj"}, "r = 0"},
                                 {"rank above hidden", 65, {"q_proj"}, "r = 65"}};
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const auto layout = make_lora_layout(tiny(), row.rank, 1.0, row.targets);
    REQUIRE_FALSE(layout.ok());
    CHECK(layout.error().what.find(row.what) != std::string::npos);
  }
}

// Numbers and names: what peft 0.21.2 adapts of a Llama of three layers.
TEST_CASE("expressions, layers and exclusions are peft's") {
  struct Row {
    std::string name;
    LoraTargets targets;
    std::vector<std::string> paths;  // all, or first and last; empty: refused
    std::size_t modules;
    std::string error;
  };
  const auto pattern = [](const std::string& p) {
    LoraTargets t;
    t.pattern = p;
    return t;
  };
  const auto layers = [](LoraTargets t, const std::vector<std::int64_t>& l,
                         const std::vector<std::string>& patterns = {}) {
    t.layers = l;
    t.layers_pattern = patterns;
    return t;
  };
  const auto without = [](LoraTargets t, const std::vector<std::string>& names,
                          const std::string& p = "") {
    t.exclude = names;
    t.exclude_pattern = p;
    return t;
  };
  const std::string at = "model.layers.", q = ".self_attn.q_proj", v = ".self_attn.v_proj";
  const std::vector<Row> rows = {
      {"one expression", pattern(".*(q|v)_proj"), {at + "0" + q, at + "2" + v}, 6, ""},
      {"a name alone is an expression", pattern("q_proj"), {}, 0, "write [q_proj] for a name"},
      {"some layers",
       pattern(R"(model\.layers\.[12]\.self_attn\.(q|k)_proj)"),
       {at + "1" + q, at + "2.self_attn.k_proj"},
       4,
       ""},
      {"the MLP",
       pattern(R"(.*layers\.\d+\.mlp\..*_proj)"),
       {at + "0.mlp.gate_proj", at + "2.mlp.down_proj"},
       9,
       ""},
      {"everything", pattern(".*"), {}, 0, "matches model, which cannot be adapted"},
      {"the head, too", pattern(".*(q_proj|lm_head)"), {}, 0, "matches lm_head"},
      {"look-ahead", pattern("(?!x)q_proj"), {}, 0, "look-ahead"},
      {"no expression", pattern("(q_proj"), {}, 0, "missing )"},
      {"a long one", pattern(std::string(1001, 'q')), {}, 0, "at most 1000"},
      {"of exponential cost elsewhere", pattern("(a*)*(.*)*(.*)*(.*)*x"), {}, 0, "leave no linear"},
      {"two layers", layers({"q_proj"}, {0, 2}), {at + "0" + q, at + "2" + q}, 2, ""},
      {"one layer", layers({"q_proj", "v_proj"}, {1}), {at + "1" + q, at + "1" + v}, 2, ""},
      {"no such layer", layers({"q_proj"}, {1, 7}), {}, 0, "names layer 7; the model has 0 to 2"},
      {"layers by name",
       layers({"q_proj"}, {1}, {"h", "layers"}),
       {at + "1" + q, at + "1" + q},
       1,
       ""},
      {"layers by another name", layers({"q_proj"}, {1}, {"h"}), {}, 0, "leave no linear module"},
      {"layers by path",
       layers({"q_proj"}, {1}, {"model.layers"}),
       {at + "1" + q, at + "1" + q},
       1,
       ""},
      {"a name without layers",
       layers({"q_proj"}, {}, {"layers"}),
       {},
       0,
       "needs layers_to_transform"},
      {"layers of all", layers({"all-linear"}, {1}), {}, 0, "needs target_modules as a list"},
      {"all but one",
       without({"all-linear"}, {"down_proj"}),
       {at + "0" + q, at + "2.mlp.up_proj"},
       18,
       ""},
      {"all but a layer",
       without({"all-linear"}, {}, R"(.*layers\.0\..*)"),
       {at + "1" + q, at + "2.mlp.down_proj"},
       14,
       ""},
      {"but one module",
       without({"q_proj", "v_proj"}, {"layers.1.self_attn.v_proj"}),
       {at + "0" + q, at + "2" + v},
       5,
       ""},
      {"nothing is left", without({"q_proj"}, {"q_proj"}), {}, 0, "leave no linear module"},
      {"a whole path is in every layer",
       layers({"model.layers.0.self_attn.q_proj", "v_proj"}, {2}),
       {at + "0" + q, at + "2" + v},
       2,
       ""}};
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const auto layout = make_lora_layout(tiny(), 4, 2.0, row.targets);
    if (!row.error.empty()) {
      REQUIRE_FALSE(layout.ok());
      CHECK_MESSAGE(layout.error().what.find(row.error) != std::string::npos, layout.error().what);
      continue;
    }
    REQUIRE_MESSAGE(layout.ok(), layout.error().what);
    CHECK(layout.value().modules.size() == row.modules);
    CHECK(layout.value().modules.front().path == row.paths[0]);
    CHECK(layout.value().modules.back().path == row.paths[1]);
  }
}

TEST_CASE("no expression crashes or stops a run") {
  std::mt19937 random(1);
  const std::string letters = "q_proj.*+?()[]{}|\\^$,:!<=09PAdwmodels\xff";
  int taken = 0;
  for (int round = 0; round < 3000; ++round) {
    LoraTargets targets;
    for (auto n = random() % 30; n > 0; --n) targets.pattern += letters[random() % letters.size()];
    if (round % 2 == 0) targets.pattern += ".*";
    taken += make_lora_layout(tiny(), 4, 2.0, targets).ok() ? 1 : 0;
  }
  CHECK(taken < 3000);
}

TEST_CASE("gaussian start values: deviation 1 / rank, as peft's") {
  const auto layout = make_lora_layout(tiny(), 16, 2.0, {"all-linear"}).value();
  std::vector<float> values(static_cast<std::size_t>(layout.parameters), 9.0f);
  initialise_lora(values, layout, 7, LoraInit::gaussian);
  double n = 0, sum = 0, square = 0, beyond_two = 0;
  for (const auto& m : layout.modules) {
    for (std::int64_t i = 0; i < m.rank * m.in; ++i) {
      const auto x = static_cast<double>(values[static_cast<std::size_t>(m.a_offset + i)]) * 16;
      n += 1;
      sum += x;
      square += x * x;
      beyond_two += std::abs(x) > 2;
    }
    CHECK(values[static_cast<std::size_t>(m.b_offset)] == 0.0f);
  }
  CHECK(std::abs(sum / n) < 5 / std::sqrt(n));
  CHECK(std::abs(square / n - 1) < 5 * std::sqrt(2 / n));
  CHECK(beyond_two / n == doctest::Approx(0.0455).epsilon(0.1));
}

TEST_CASE("start values: B is zero, A lies within its bound and depends on path and seed") {
  const std::vector<std::string> targets = {"all-linear"};
  const auto layout = make_lora_layout(tiny(), 4, 2.0, targets).value();
  std::vector<float> one(static_cast<std::size_t>(layout.parameters), 9.0f), two = one, other = one;
  initialise_lora(one, layout, 7);
  initialise_lora(two, layout, 7);
  initialise_lora(other, layout, 8);
  CHECK(one == two);
  CHECK(one != other);
  for (const auto& m : layout.modules) {
    const float* a = one.data() + m.a_offset;
    const double bound = 1 / std::sqrt(static_cast<double>(m.in));
    double sum = 0, largest = 0;
    for (std::int64_t i = 0; i < m.rank * m.in; ++i) {
      sum += static_cast<double>(a[i]);
      largest = std::max(largest, std::fabs(static_cast<double>(a[i])));
    }
    CHECK(largest <= bound);
    CHECK(largest > 0.9 * bound);
    CHECK(std::fabs(sum / static_cast<double>(m.rank * m.in)) < 0.15 * bound);
    for (std::int64_t i = 0; i < m.rank * m.out; ++i)
      REQUIRE(one[static_cast<std::size_t>(m.b_offset + i)] == 0.0f);
  }
  // Two modules of one shape start differently.
  CHECK_FALSE(std::equal(one.begin() + layout.modules[4].a_offset,
                         one.begin() + layout.modules[4].a_offset + 8,
                         one.begin() + layout.modules[5].a_offset));
}

TEST_CASE("rope: plain, linear and llama3 frequencies") {
  RopeConfig rope;
  const auto plain = rope_frequencies(rope, 8);
  REQUIRE(plain.size() == 4);
  CHECK(plain[0] == 1.0f);
  CHECK(static_cast<double>(plain[2]) == doctest::Approx(0.01).epsilon(1e-6));
  rope.kind = RopeKind::linear;
  rope.factor = 4;
  CHECK(rope_frequencies(rope, 8)[0] == 0.25f);
  rope.kind = RopeKind::llama3;
  rope.factor = 8;
  rope.original_positions = 64;
  const auto scaled = rope_frequencies(rope, 8);
  CHECK(scaled[0] == plain[0]);      // wavelength 6 < 64 / 4: kept
  CHECK(scaled[2] == plain[2] / 8);  // wavelength 628 > 64: slowed
  const double blend = (64 / (2 * M_PI / 0.1) - 1) / 3;
  CHECK(static_cast<double>(scaled[1]) ==
        doctest::Approx((1 - blend) * 0.1 / 8 + blend * 0.1).epsilon(1e-5));
  const auto table = make_rope_table(RopeConfig{}, 8, 3);
  CHECK(table.cos.size() == 12);
  CHECK(static_cast<double>(table.sin[8]) == doctest::Approx(std::sin(2.0)).epsilon(1e-6));
}
}  // namespace kairo::gpu
