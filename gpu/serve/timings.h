// gpu/serve/timings.h - how long requests wait and take, as Prometheus histograms with vLLM's names
// and bounds: what scales and routes servers of other makers reads them unchanged.
#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "gpu/serve/scheduler.h"
#include "schemas/base/clock.h"

namespace kairo::gpu {
struct ServedRoom {
  int slots = 0, context = 0;  // requests at a time; tokens of each
};

class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds)
      : bounds_(std::move(bounds)), counts_(bounds_.size()) {}
  void add(double value);
  // name: of the family; labels: "a=\"b\"", at least one.
  std::string text(const std::string& name, const std::string& help,
                   const std::string& labels) const;

 private:
  std::vector<double> bounds_;  // ascending
  std::vector<std::uint64_t> counts_;
  std::uint64_t all_ = 0;
  double sum_ = 0;
};

class Timings {  // any thread
 public:
  Timings();
  void waited(std::int64_t ms);
  void first_token(std::int64_t ms);
  void next_token(std::int64_t ms);
  // What was answered to the end; prompt and answer in tokens.
  void answered(Finish why, std::int64_t ms, int prompt, int answer);
  std::string text(const std::string& labels) const;

 private:
  mutable std::mutex mutex_;
  Histogram waited_, first_, next_, whole_, prompts_, answers_;
  std::map<std::string, std::uint64_t> ends_;  // by reason
};

// One request's, from its arrival on; the scheduler's thread.
class RequestTimes {
 public:
  // Both must outlive it.
  RequestTimes(Timings& timings, const Clock& clock, int prompt_tokens)
      : timings_(timings), clock_(clock), prompt_(prompt_tokens), arrived_(clock.monotonic_ms()) {}
  void begins() { timings_.waited(clock_.monotonic_ms() - arrived_); }
  void token();
  void ends(Finish why) {
    timings_.answered(why, clock_.monotonic_ms() - arrived_, prompt_, answer_);
  }

 private:
  Timings& timings_;
  const Clock& clock_;
  const int prompt_;
  const std::int64_t arrived_;
  std::int64_t last_ = 0;
  int answer_ = 0;
};
}  // namespace kairo::gpu
