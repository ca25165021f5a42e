// agents/node/curve.h - progress.jsonl as the curve of its run. Pure.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "schemas/curve_generated.h"
#include "schemas/run_generated.h"

namespace kairo::node {
// Takes the lines as they come. An attempt that went on from a checkpoint cuts what lies behind it:
// those steps are done again, and no step is there twice.
class CurveBuilder {
 public:
  // points_max: what is kept of a run in memory; beyond it neighbours become one, pair by pair.
  explicit CurveBuilder(std::size_t points_max = 200'000) : points_max_(points_max) {}
  void take(const wire::ProgressT& line);
  // At most so many buckets, each of 2^n points of what is kept: two readers of one file agree.
  wire::CurveT curve(std::size_t buckets_max = 1'000) const;
  std::uint32_t last_step() const { return points_.empty() ? 0 : points_.back().last; }
  std::uint32_t attempt() const { return attempts_.empty() ? 0 : attempts_.back().attempt; }

 private:
  struct Point {
    std::uint32_t first, last, count;
    float min, max, learning_rate, grad_norm, tokens_per_second;
    double sum;
    std::uint64_t tokens;
    std::int64_t at_ms;
  };
  static std::vector<Point> paired(const std::vector<Point>& points);
  void cut(std::uint32_t after);
  std::size_t points_max_;
  std::vector<Point> points_;
  std::vector<wire::CurveAttemptT> attempts_;
  std::vector<wire::CurveEvalT> evals_;
  std::string settings_;  // as the last line that had them said
};

// Whole lines of a file that grows; the torn tail waits for its rest.
class LineFeed {
 public:
  // The lines that came since; the file's end afterwards.
  std::vector<std::string> read(const std::string& path);

 private:
  std::int64_t offset_ = 0;
  std::string rest_;
};

// When it is worth saying again: a hundredth more steps, at least 2 s apart, and at its end.
struct CurveSaid {
  std::uint32_t step = 0, attempt = 0;
  std::int64_t at_ms = 0;  // monotonic; 0 = never
  bool is_due(const CurveBuilder& curve, bool is_over, std::int64_t now_ms) const;
};
}  // namespace kairo::node
