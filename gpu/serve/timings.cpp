// gpu/serve/timings.cpp
#include "gpu/serve/timings.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace kairo::gpu {
namespace {
const std::vector<double> to_first_token = {.001, .005, .01, .02, .04, .06, .08, .1,
                                            .25,  .5,   .75, 1,   2.5, 5,   7.5, 10,
                                            20,   40,   80,  160, 640, 2560};
const std::vector<double> between_tokens = {.01, .025, .05, .075, .1,  .15, .2, .3, .4, .5,
                                            .75, 1,    2.5, 5,    7.5, 10,  20, 40, 80};
const std::vector<double> of_requests = {.3, .5, .8, 1,  1.5, 2,   2.5, 5,   10,   15,  20,
                                         30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680};
const std::vector<double> of_tokens = {1,   2,   5,   10,  20,  50,  100, 200,
                                       500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5};

std::string number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.9g", value);
  return text.data();
}
double seconds(std::int64_t ms) {
  return static_cast<double>(ms) / 1000;
}
const char* reason_of(Finish why) {
  switch (why) {
    case Finish::stop:
      return "stop";
    case Finish::length:
      return "length";
    case Finish::cancelled:
      return "abort";
    case Finish::failed:
      return "error";
  }
  return "error";
}
}  // namespace

void Histogram::add(double value) {
  const auto at = std::lower_bound(bounds_.begin(), bounds_.end(), value);
  if (at != bounds_.end()) ++counts_[static_cast<std::size_t>(at - bounds_.begin())];
  ++all_;
  sum_ += value;
}

std::string Histogram::text(const std::string& name, const std::string& help,
                            const std::string& labels) const {
  std::string out = "# HELP " + name + " " + help + "\n# TYPE " + name + " histogram\n";
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < bounds_.size(); ++i) {
    below += counts_[i];
    out += name + "_bucket{" + labels + ",le=\"" + number(bounds_[i]) + "\"} " +
           std::to_string(below) + "\n";
  }
  out += name + "_bucket{" + labels + ",le=\"+Inf\"} " + std::to_string(all_) + "\n";
  out += name + "_sum{" + labels + "} " + number(sum_) + "\n";
  return out + name + "_count{" + labels + "} " + std::to_string(all_) + "\n";
}

Timings::Timings()
    : waited_(of_requests),
      first_(to_first_token),
      next_(between_tokens),
      whole_(of_requests),
      prompts_(of_tokens),
      answers_(of_tokens) {}

void Timings::waited(std::int64_t ms) {
  const std::scoped_lock lock(mutex_);
  waited_.add(seconds(ms));
}
void Timings::first_token(std::int64_t ms) {
  const std::scoped_lock lock(mutex_);
  first_.add(seconds(ms));
}
void Timings::next_token(std::int64_t ms) {
  const std::scoped_lock lock(mutex_);
  next_.add(seconds(ms));
}
void Timings::answered(Finish why, std::int64_t ms, int prompt, int answer) {
  const std::scoped_lock lock(mutex_);
  ++ends_[reason_of(why)];
  if (why != Finish::stop && why != Finish::length) return;
  whole_.add(seconds(ms));
  prompts_.add(prompt);
  answers_.add(answer);
}

std::string Timings::text(const std::string& labels) const {
  const std::scoped_lock lock(mutex_);
  std::string out = waited_.text("vllm:request_queue_time_seconds",
                                 "Seconds that a request waited for a slot.", labels);
  out += first_.text("vllm:time_to_first_token_seconds",
                     "Seconds from a request's arrival to its first token.", labels);
  out +=
      next_.text("vllm:inter_token_latency_seconds", "Seconds from one token to the next.", labels);
  out += whole_.text("vllm:e2e_request_latency_seconds",
                     "Seconds from a request's arrival to its last token.", labels);
  out += prompts_.text("vllm:request_prompt_tokens", "Tokens of a prompt.", labels);
  out += answers_.text("vllm:request_generation_tokens", "Tokens of an answer.", labels);
  const std::string ends = "vllm:request_success_total";
  out += "# HELP " + ends + " Requests that ended, by reason.\n# TYPE " + ends + " counter\n";
  for (const char* reason : {"stop", "length", "abort", "error"}) {
    const auto at = ends_.find(reason);
    out += ends + "{" + labels + ",finished_reason=\"" + reason + "\"} " +
           std::to_string(at == ends_.end() ? 0 : at->second) + "\n";
  }
  return out;
}

void RequestTimes::token() {
  const std::int64_t now = clock_.monotonic_ms();
  if (++answer_ == 1)
    timings_.first_token(now - arrived_);
  else
    timings_.next_token(now - last_);
  last_ = now;
}
}  // namespace kairo::gpu
