// tests/support/fake_clock.h - time that only moves when a test says so.
#pragma once
#include "schemas/base/clock.h"

namespace kairo::test {
class FakeClock final : public Clock {
 public:
  std::int64_t now_ms() const override { return now_ms_; }
  std::int64_t monotonic_ms() const override { return monotonic_ms_; }
  void advance(std::int64_t ms) {
    now_ms_ += ms;
    monotonic_ms_ += ms;
  }
  void jump(std::int64_t ms) { now_ms_ += ms; }  // somebody set the wall clock

 private:
  std::int64_t now_ms_ = 1'764'000'000'000, monotonic_ms_ = 1'000'000;
};
class SkewedClock final : public Clock {  // of a machine whose wall clock is wrong
 public:
  explicit SkewedClock(const Clock& right) : right_(right) {}
  std::int64_t now_ms() const override { return right_.now_ms() + skew_ms; }
  std::int64_t monotonic_ms() const override { return right_.monotonic_ms(); }
  std::int64_t skew_ms = 0;

 private:
  const Clock& right_;
};
}  // namespace kairo::test
