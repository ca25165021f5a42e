// tests/gpu/serve/timings_test.cpp - histograms as Prometheus reads them; what a request's times
// are.
#include "gpu/serve/timings.h"

#include <doctest/doctest.h>

#include "tests/support/fake_clock.h"

namespace kairo::gpu {
TEST_CASE("a histogram counts what is at most each bound") {
  Histogram h({0.1, 1, 2.5});
  for (const double value : {0.05, 0.1, 0.5, 3.0}) h.add(value);
  CHECK(h.text("name", "Words.", "model_name=\"m\"") ==
        "# HELP name Words.\n"
        "# TYPE name histogram\n"
        "name_bucket{model_name=\"m\",le=\"0.1\"} 2\n"
        "name_bucket{model_name=\"m\",le=\"1\"} 3\n"
        "name_bucket{model_name=\"m\",le=\"2.5\"} 3\n"
        "name_bucket{model_name=\"m\",le=\"+Inf\"} 4\n"
        "name_sum{model_name=\"m\"} 3.65\n"
        "name_count{model_name=\"m\"} 4\n");
}

TEST_CASE("a request's times: queue, first token, from token to token, all of it") {
  kairo::test::FakeClock clock;
  Timings timings;
  RequestTimes answered(timings, clock, 30), left(timings, clock, 7);
  clock.advance(250);
  answered.begins();
  for (const int ms : {150, 20, 40}) {
    clock.advance(ms);
    answered.token();
  }
  answered.ends(Finish::length);
  left.ends(Finish::cancelled);  // counted, but no answer's time
  const std::string text = timings.text("engine=\"0\"");
  for (const char* line :
       {"vllm:request_queue_time_seconds_sum{engine=\"0\"} 0.25\n",
        "vllm:request_queue_time_seconds_count{engine=\"0\"} 1\n",
        "vllm:time_to_first_token_seconds_sum{engine=\"0\"} 0.4\n",
        "vllm:time_to_first_token_seconds_bucket{engine=\"0\",le=\"0.25\"} 0\n",
        "vllm:time_to_first_token_seconds_bucket{engine=\"0\",le=\"0.5\"} 1\n",
        "vllm:inter_token_latency_seconds_sum{engine=\"0\"} 0.06\n",
        "vllm:inter_token_latency_seconds_count{engine=\"0\"} 2\n",
        "vllm:e2e_request_latency_seconds_sum{engine=\"0\"} 0.46\n",
        "vllm:request_prompt_tokens_sum{engine=\"0\"} 30\n",
        "vllm:request_generation_tokens_sum{engine=\"0\"} 3\n",
        "vllm:request_success_total{engine=\"0\",finished_reason=\"length\"} 1\n",
        "vllm:request_success_total{engine=\"0\",finished_reason=\"abort\"} 1\n",
        "vllm:request_success_total{engine=\"0\",finished_reason=\"stop\"} 0\n"})
    CHECK_MESSAGE(text.find(line) != std::string::npos, line);
}
}  // namespace kairo::gpu
