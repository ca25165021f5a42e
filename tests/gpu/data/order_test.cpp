// tests/gpu/data/order_test.cpp - proves: every epoch sees every row once, steps are counted as
// transformers counts them, and a step's rows follow from its number alone.
#include "gpu/data/order.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <set>
#include <string>

using namespace kairo;
using namespace kairo::gpu;

namespace {
RowOrder make(const OrderSettings& settings) {
  auto made = RowOrder::make(settings);
  REQUIRE(made.ok());
  return std::move(made).value();
}
}  // namespace

TEST_CASE("order: steps as transformers counts them") {
  struct StepRow {
    std::string name;
    std::size_t rows, batch, accumulation;
    double epochs;
    std::int64_t max_steps, per_epoch, total;
  };
  const StepRow cases[] = {
      {"one row", 1, 8, 1, 3, -1, 1, 3},
      {"exact", 96, 8, 1, 3, -1, 12, 36},
      {"one over", 97, 8, 1, 1, -1, 13, 13},
      {"accumulation rounds up", 97, 8, 4, 1, -1, 4, 4},
      {"part of an epoch", 100, 1, 1, 0.25, -1, 100, 25},
      {"a part of a step", 10, 4, 1, 0.5, -1, 3, 2},
      {"max_steps wins", 10, 4, 1, 0.5, 7, 3, 7},
      {"huge batch", 3, std::numeric_limits<std::size_t>::max(), 9, 2, -1, 1, 2},
  };
  for (const auto& c : cases) {
    CAPTURE(c.name);
    auto order = make({c.rows, c.batch, c.accumulation, c.epochs, c.max_steps, true, 1});
    CHECK(order.steps_per_epoch() == c.per_epoch);
    CHECK(order.total_steps() == c.total);
    for (std::int64_t s = 0; s < c.total; ++s) CHECK_FALSE(order.rows_of_step(s).empty());
  }
  CHECK_FALSE(RowOrder::make({0, 1, 1, 1, -1, true, 0}).ok());
  CHECK_FALSE(RowOrder::make({1, 0, 1, 1, -1, true, 0}).ok());
  CHECK_FALSE(RowOrder::make({1, 1, 0, 1, -1, true, 0}).ok());
  CHECK_FALSE(RowOrder::make({1, 1, 1, 0, -1, true, 0}).ok());
  CHECK(RowOrder::make({1, 1, 1, 1, 1'000'000'000'000, true, 0}).error().what ==
        "TrainingArguments.max_steps is 1000000000000; at most 1000000000");
  CHECK(RowOrder::make({1, 1, 1, 1, 1'000'000'000, true, 0}).ok());
  CHECK_FALSE(RowOrder::make({1, 1, 1, 1.1e9, -1, true, 0}).ok());
  CHECK_FALSE(
      RowOrder::make({1, 1, 1, std::numeric_limits<double>::quiet_NaN(), -1, true, 0}).ok());
}

TEST_CASE("order: an epoch is a permutation, and the next one another") {
  for (const bool shuffle : {false, true}) {
    CAPTURE(shuffle);
    auto order = make({101, 4, 2, 2, -1, shuffle, 42});
    std::vector<std::size_t> epochs[2];
    for (std::int64_t s = 0; s < order.total_steps(); ++s)
      for (const auto row : order.rows_of_step(s))
        epochs[s / order.steps_per_epoch()].push_back(row);
    for (auto& epoch : epochs) {
      CHECK(epoch.size() == 101);
      CHECK(std::set<std::size_t>(epoch.begin(), epoch.end()).size() == 101);
      CHECK(std::is_sorted(epoch.begin(), epoch.end()) == !shuffle);
    }
    CHECK((epochs[0] == epochs[1]) == !shuffle);
  }
}

TEST_CASE("order: a step is the same whatever was asked before") {
  const OrderSettings settings{50, 3, 2, 4, -1, true, 7};
  auto forward = make(settings);
  auto backward = make(settings);
  std::vector<std::vector<std::size_t>> seen;
  for (std::int64_t s = 0; s < forward.total_steps(); ++s) seen.push_back(forward.rows_of_step(s));
  for (std::int64_t s = forward.total_steps(); s-- > 0;)
    CHECK(backward.rows_of_step(s) == seen[static_cast<std::size_t>(s)]);
}

// Worked out with an independent Python implementation of the header's definition.
TEST_CASE("order: the generator is the documented one") {
  CHECK(epoch_order(8, true, 42, 0) == std::vector<std::size_t>{3, 1, 6, 2, 4, 0, 7, 5});
  CHECK(epoch_order(8, true, 42, 1) == std::vector<std::size_t>{7, 4, 1, 2, 5, 6, 0, 3});
}

// Expected: transformers' get_length_grouped_indices on the same random order.
TEST_CASE("order: rows of like length together, the longest first") {
  std::vector<std::size_t> order = {3, 0, 7, 5, 1, 8, 2, 6, 4, 9};
  const std::vector<std::size_t> lengths = {5, 9, 2, 7, 7, 1, 8, 3, 20, 4};
  group_by_length(order, lengths, 1);  // cuts of min(50, 10 / 4) = 2
  CHECK(order == std::vector<std::size_t>{8, 0, 7, 5, 3, 1, 6, 2, 4, 9});
  order = {3, 0, 7, 5, 1, 8, 2, 6, 4, 9};
  group_by_length(order, lengths, 8);  // one bag at a time
  CHECK(order == std::vector<std::size_t>{8, 1, 6, 3, 0, 7, 2, 5, 4, 9});
  OrderSettings settings{100, 4, 2, 3, -1, true, 5};
  for (std::size_t i = 0; i < 100; ++i) settings.lengths.push_back(i * 37 % 101);
  auto grouped = make(settings), plain = make({100, 4, 2, 3, -1, true, 5});
  const std::size_t largest = *std::ranges::max_element(settings.lengths);
  for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
    std::set<std::size_t> seen;
    double spread = 0, plain_spread = 0;
    const auto spread_of = [&](const std::vector<std::size_t>& rows) {
      std::size_t least = 1000, most = 0;
      for (const auto i : rows) {
        least = std::min(least, settings.lengths[i]);
        most = std::max(most, settings.lengths[i]);
      }
      return static_cast<double>(most - least);
    };
    for (std::int64_t s = epoch * 13; s < (epoch + 1) * 13; ++s) {
      const auto rows = grouped.rows_of_step(s);
      seen.insert(rows.begin(), rows.end());
      spread += spread_of(rows);
      plain_spread += spread_of(plain.rows_of_step(s));
    }
    CHECK(seen.size() == 100);
    CHECK(spread < plain_spread);
    CHECK(settings.lengths[grouped.rows_of_step(epoch * 13)[0]] == largest);
  }
  settings.lengths.pop_back();
  CHECK_FALSE(RowOrder::make(settings).ok());
}
