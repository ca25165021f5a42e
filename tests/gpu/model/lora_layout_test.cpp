// tests/gpu/model/lora_layout_test.cpp - targets match as peft's do, offsets tile the buffer, the
// start values are the documented ones, and rope frequencies follow transformers'.
#include "gpu/model/lora_layout.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

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
                                 {"none", 4, {}, "empty"},
                                 {"rank 0", 0, {"q_proj"}, "r = 0"},
                                 {"rank above hidden", 65, {"q_proj"}, "r = 65"}};
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const auto layout = make_lora_layout(tiny(), row.rank, 1.0, row.targets);
    REQUIRE_FALSE(layout.ok());
    CHECK(layout.error().what.find(row.what) != std::string::npos);
  }
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
