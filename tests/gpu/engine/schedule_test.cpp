// tests/gpu/engine/schedule_test.cpp - warm-up, peak and end of every schedule, as transformers
// computes them.
#include "gpu/engine/schedule.h"

#include <doctest/doctest.h>

#include <vector>

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

TEST_CASE("names and warm-up lengths") {
  for (const std::string name : {"linear", "cosine", "constant", "constant_with_warmup"}) {
    CAPTURE(name);
    CHECK(parse_schedule(name).ok());
  }
  const auto refused = parse_schedule("polynomial");
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().what.find("cosine") != std::string::npos);
  CHECK(warmup_of(3, 0.5, 100) == 3);
  CHECK(warmup_of(0, 0.03, 100) == 3);
  CHECK(warmup_of(0, 0.031, 100) == 4);
  CHECK(warmup_of(0, 0.0, 100) == 0);
}
}  // namespace kairo::gpu
