// tests/gpu/engine/schedule_test.cpp - warm-up, peak and end of every schedule, as transformers
// computes them.
#include "gpu/engine/schedule.h"

#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "gpu/formats/files.h"
#include "tests/gpu/support.h"

namespace kairo::gpu {
TEST_CASE("rates at the edges") {
  struct Row {
    std::string name;
    ScheduleKind kind;
    std::int64_t total, warmup, done;
    double rate;  // of a peak of 1
  };
  const std::vector<Row> rows = {
      {"linear, first of a warm-up", ScheduleKind::linear, 10, 2, 0, 0.0},
      {"linear, inside the warm-up", ScheduleKind::linear, 10, 2, 1, 0.5},
      {"linear, peak", ScheduleKind::linear, 10, 2, 2, 1.0},
      {"linear, one after", ScheduleKind::linear, 10, 2, 3, 0.875},
      {"linear, last", ScheduleKind::linear, 10, 2, 9, 0.125},
      {"linear, end", ScheduleKind::linear, 10, 2, 10, 0.0},
      {"linear, no warm-up", ScheduleKind::linear, 4, 0, 0, 1.0},
      {"linear, all warm-up", ScheduleKind::linear, 2, 4, 1, 0.25},
      {"cosine, peak", ScheduleKind::cosine, 10, 2, 2, 1.0},
      {"cosine, half", ScheduleKind::cosine, 10, 2, 6, 0.5},
      {"cosine, end", ScheduleKind::cosine, 10, 2, 10, 0.0},
      {"constant ignores the warm-up", ScheduleKind::constant, 10, 5, 0, 1.0},
      {"constant_with_warmup, inside", ScheduleKind::constant_with_warmup, 10, 5, 1, 0.2},
      {"constant_with_warmup, after", ScheduleKind::constant_with_warmup, 10, 5, 9, 1.0}};
  for (const auto& row : rows) {
    CAPTURE(row.name);
    CHECK(learning_rate({row.kind, 1.0, row.total, row.warmup}, row.done) ==
          doctest::Approx(row.rate).epsilon(1e-12));
  }
}

TEST_CASE("every schedule of transformers, step by step, to 1e-7") {
  const auto cases =
      nlohmann::json::parse(read_file(test::golden("schedules.json"), 1 << 20).value());
  REQUIRE(cases.size() == 25);
  std::set<std::string> names;
  for (const auto& c : cases) {
    CAPTURE(c.dump());
    names.insert(c["name"].get<std::string>());
    const auto kind = parse_schedule(c["name"].get<std::string>());
    REQUIRE(kind.ok());
    std::vector<std::pair<std::string, std::string>> arguments;
    for (const auto& [key, value] : c["kwargs"].items())
      arguments.emplace_back(key, value.get<std::string>());
    const double peak = c["peak"].get<double>();
    const auto options = parse_schedule_options(kind.value(), arguments, peak);
    REQUIRE_MESSAGE(options.ok(), options.error().what);
    const Schedule schedule{kind.value(), peak, c["total"].get<std::int64_t>(),
                            c["warmup"].get<std::int64_t>(), options.value()};
    for (std::size_t step = 0; step < c["rates"].size(); ++step)
      CHECK(std::abs(learning_rate(schedule, static_cast<std::int64_t>(step)) -
                     c["rates"][step].get<double>()) <= 1e-7 * peak);
  }
  CHECK(names.size() == 10);
}

TEST_CASE("arguments of schedules are those of transformers") {
  struct Row {
    std::string name, schedule;
    std::vector<std::pair<std::string, std::string>> arguments;
    std::string error;  // empty: accepted
  };
  const std::vector<Row> rows = {
      {"none", "cosine", {}, ""},
      {"cycles", "cosine_with_restarts", {{"num_cycles", "3"}}, ""},
      {"an unknown one",
       "cosine",
       {{"cycles", "3"}},
       "lr_scheduler_kwargs.cycles is no argument of cosine; there are: num_cycles"},
      {"another kind's",
       "linear",
       {{"num_cycles", "3"}},
       "is no argument of linear, which takes none"},
      {"text",
       "cosine",
       {{"num_cycles", "many"}},
       "lr_scheduler_kwargs.num_cycles: \"many\" must be at least 0"},
      {"half a step", "inverse_sqrt", {{"timescale", "1.5"}}, "must be a whole number"},
      {"no least", "cosine_with_min_lr", {}, "needs one of min_lr and min_lr_rate"},
      {"two leasts", "cosine_with_min_lr", {{"min_lr", "0"}, {"min_lr_rate", "0"}}, "needs one of"},
      {"least above the peak",
       "cosine_with_min_lr",
       {{"min_lr", "1"}},
       "a rate in [0, learning_rate]"},
      {"no decay", "warmup_stable_decay", {}, "needs num_decay_steps"},
      {"a ramp",
       "warmup_stable_decay",
       {{"num_decay_steps", "1"}, {"decay_type", "sqrt"}},
       "must be linear, cosine or 1-sqrt"},
      {"the end is above", "polynomial", {{"lr_end", "0.1"}}, "lr_end"}};
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const auto options =
        parse_schedule_options(parse_schedule(row.schedule).value(), row.arguments, 1e-3);
    CHECK(options.ok() == row.error.empty());
    if (!options.ok())
      CHECK_MESSAGE(options.error().what.find(row.error) != std::string::npos,
                    options.error().what);
  }
  CHECK_FALSE(parse_schedule_options(ScheduleKind::polynomial, {}, 1e-8).ok());
}

TEST_CASE("names and warm-up lengths") {
  for (const std::string name : {"reduce_lr_on_plateau", "greedy"})
    CHECK(parse_schedule(name).error().what.find("follows the measured loss") != std::string::npos);
  const auto refused = parse_schedule("polynom");
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().what.find("cosine") != std::string::npos);
  CHECK(warmup_of(3, 0.5, 100) == 3);
  CHECK(warmup_of(0, 0.03, 100) == 3);
  CHECK(warmup_of(0, 0.031, 100) == 4);
  CHECK(warmup_of(0, 0.0, 100) == 0);
}
}  // namespace kairo::gpu
