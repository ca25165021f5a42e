// agents/node/curve.cpp - points, pairs of points, columns.
#include "agents/node/curve.h"

#include <algorithm>
#include <cmath>
#include <fstream>

namespace kairo::node {
namespace {
constexpr std::size_t line_bytes_max = 64 * 1024;
constexpr std::size_t evals_max = 1'000, attempts_max = 200;
}  // namespace

std::vector<CurveBuilder::Point> CurveBuilder::paired(const std::vector<Point>& points) {
  std::vector<Point> out;
  out.reserve(points.size() / 2 + 1);
  for (std::size_t i = 0; i < points.size(); i += 2) {
    Point one = points[i];
    if (i + 1 < points.size()) {
      const Point& next = points[i + 1];
      const std::uint32_t first = one.first, count = one.count + next.count;
      const double sum = one.sum + next.sum;
      const float min = std::min(one.min, next.min), max = std::max(one.max, next.max);
      one = next;
      one.first = first;
      one.count = count;
      one.sum = sum;
      one.min = min;
      one.max = max;
    }
    out.push_back(one);
  }
  return out;
}

void CurveBuilder::cut(std::uint32_t after) {
  while (!points_.empty() && points_.back().first > after) points_.pop_back();
  while (!evals_.empty() && evals_.back().step > after) evals_.pop_back();
}

void CurveBuilder::take(const wire::ProgressT& line) {
  if (line.attempt > attempt()) {
    // What is said before an attempt trains does not know yet which step it goes on from.
    if (line.phase != wire::RunPhase::Training) return;
    if (!attempts_.empty()) cut(line.resumed_from);
    if (attempts_.size() == attempts_max) attempts_.erase(attempts_.begin());
    wire::CurveAttemptT attempt;
    attempt.attempt = line.attempt;
    attempt.from_step = line.resumed_from;
    attempts_.push_back(attempt);
  }
  if (line.attempt < attempt()) return;
  if (!line.settings.empty()) settings_ = line.settings;
  if (line.eval_loss > 0 && (evals_.empty() || line.eval_step > evals_.back().step)) {
    wire::CurveEvalT eval;
    eval.step = line.eval_step;
    eval.loss = line.eval_loss;
    if (evals_.size() < evals_max) evals_.push_back(eval);
  }
  // The first line of an attempt tells the step that it goes on from, and no loss.
  const bool is_step = line.step > std::max(last_step(), line.resumed_from) &&
                       std::isfinite(line.loss) && line.at_ms > 0;
  if (!is_step) return;
  points_.push_back({line.step, line.step, 1, line.loss, line.loss, line.learning_rate,
                     line.grad_norm, line.tokens_per_second, static_cast<double>(line.loss),
                     line.tokens, line.at_ms});
  if (points_.size() > points_max_) points_ = paired(points_);
}

wire::CurveT CurveBuilder::curve(std::size_t buckets_max) const {
  std::vector<Point> buckets = points_;
  while (buckets.size() > buckets_max) buckets = paired(buckets);
  wire::CurveT out;
  out.settings = settings_;
  for (const auto& a : attempts_) out.attempts.push_back(std::make_unique<wire::CurveAttemptT>(a));
  for (const auto& e : evals_) out.evals.push_back(std::make_unique<wire::CurveEvalT>(e));
  for (const Point& p : buckets) {
    out.first.push_back(p.first);
    out.last.push_back(p.last);
    out.min.push_back(p.min);
    out.mean.push_back(static_cast<float>(p.sum / p.count));
    out.max.push_back(p.max);
    out.learning_rate.push_back(p.learning_rate);
    out.grad_norm.push_back(p.grad_norm);
    out.tokens_per_second.push_back(p.tokens_per_second);
    out.tokens.push_back(p.tokens);
    out.at_ms.push_back(p.at_ms);
  }
  return out;
}

std::vector<std::string> LineFeed::read(const std::string& path) {
  std::vector<std::string> out;
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in) return out;
  if (static_cast<std::int64_t>(in.tellg()) < offset_) {  // another file in its place
    offset_ = 0;
    rest_.clear();
  }
  in.seekg(offset_);
  std::string block(64 * 1024, '\0');
  while (in.read(block.data(), static_cast<std::streamsize>(block.size())), in.gcount() > 0) {
    offset_ += in.gcount();
    rest_.append(block.data(), static_cast<std::size_t>(in.gcount()));
    std::size_t from = 0;
    for (std::size_t end = 0; (end = rest_.find('\n', from)) != std::string::npos; from = end + 1)
      out.push_back(rest_.substr(from, end - from));
    rest_.erase(0, from);
    if (rest_.size() > line_bytes_max) rest_.clear();
  }
  return out;
}

bool CurveSaid::is_due(const CurveBuilder& curve, bool is_over, std::int64_t now_ms) const {
  constexpr std::int64_t apart_ms = 2'000;
  if (curve.last_step() == 0) return false;
  if (at_ms == 0) return true;
  if (curve.last_step() == step && curve.attempt() == attempt) return false;
  if (is_over) return true;
  if (now_ms - at_ms < apart_ms) return false;
  return curve.attempt() != attempt || curve.last_step() < step ||
         curve.last_step() - step >= std::max<std::uint32_t>(1, step / 100);
}
}  // namespace kairo::node
