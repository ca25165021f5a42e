// What this proves: tokens are drawn with the probabilities that the settings name, and again the
// same with the same seed.
#include "gpu/serve/sampler.h"

#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

using namespace kairo::gpu;
namespace {
std::map<std::int32_t, int> drawn(Sampling settings, const std::vector<float>& logits, int times) {
  settings.seed = 11;
  Sampler sampler(settings, {});
  std::map<std::int32_t, int> out;
  for (int i = 0; i < times; ++i) ++out[sampler.pick(logits)];
  return out;
}
float log_of(double p) {
  return static_cast<float>(std::log(p));
}
}  // namespace

TEST_CASE("greedy: the best token, the lowest of equals") {
  Sampling greedy;
  greedy.temperature = 0;
  Sampler sampler(greedy, {});
  CHECK(sampler.pick(std::vector<float>{1, 3, 3, -2}) == 1);
  CHECK(sampler.pick(std::vector<float>{-5}) == 0);
  Sampling one;
  one.top_k = 1;
  Sampler only(one, {});
  for (int i = 0; i < 20; ++i) CHECK(only.pick(std::vector<float>{1, 3, 3.5f, -2}) == 2);
}

TEST_CASE("the shares of 20,000 draws are those of the settings") {
  const std::vector<float> logits{log_of(0.5), log_of(0.25), log_of(0.15), log_of(0.1)};
  struct Row {
    std::string name;
    float temperature, top_p;
    int top_k;
    std::vector<double> shares;  // of tokens 0..3
  };
  const Row rows[] = {
      {"plain", 1, 1, 0, {0.5, 0.25, 0.15, 0.1}},
      {"temperature 0.5 squares", 0.5f, 1, 0, {0.7246, 0.1812, 0.0652, 0.0290}},
      {"top_k 2", 1, 1, 2, {0.6667, 0.3333, 0, 0}},
      {"top_p 0.6 needs two", 1, 0.6f, 0, {0.6667, 0.3333, 0, 0}},
      {"top_p 0.4 needs one", 1, 0.4f, 0, {1, 0, 0, 0}},
      {"top_p 0.8 needs three", 1, 0.8f, 0, {0.5556, 0.2778, 0.1667, 0}},
      {"top_p within top_k", 1, 0.7f, 2, {0.6667, 0.3333, 0, 0}},
      {"top_k above the vocabulary", 1, 1, 99, {0.5, 0.25, 0.15, 0.1}},
  };
  constexpr int times = 20'000;
  for (const Row& row : rows) {
    CAPTURE(row.name);
    Sampling s;
    s.temperature = row.temperature;
    s.top_p = row.top_p;
    s.top_k = row.top_k;
    auto seen = drawn(s, logits, times);
    for (int token = 0; token < 4; ++token) {
      CAPTURE(token);
      const double share = static_cast<double>(seen[token]) / times;
      const double wanted = row.shares[static_cast<std::size_t>(token)];
      // Five standard deviations of a share over 20,000 draws are 0.018 at most.
      CHECK(share == doctest::Approx(wanted).epsilon(0.018));
      if (wanted == 0) CHECK(seen[token] == 0);
    }
  }
}

TEST_CASE("top_p over a large vocabulary: as many tokens as it needs, however far it sorts") {
  std::vector<float> flat(1000, 0.0f);  // all equal: top_p 0.5 keeps 500, the lowest numbers
  Sampling s;
  s.top_p = 0.5f;
  const auto seen = drawn(s, flat, 20'000);
  CHECK(seen.size() == 500);
  CHECK(seen.rbegin()->first == 499);
}

TEST_CASE("a seed gives the same tokens again, another seed others") {
  const std::vector<float> logits(64, 0.0f);
  const auto tokens = [&](std::uint64_t seed) {
    Sampling s;
    s.seed = seed;
    Sampler sampler(s, {});
    std::vector<std::int32_t> out;
    for (int i = 0; i < 16; ++i) out.push_back(sampler.pick(logits));
    return out;
  };
  CHECK(tokens(5) == tokens(5));
  CHECK(tokens(5) != tokens(6));
}

TEST_CASE("penalties") {
  Sampling s;
  s.temperature = 0;
  SUBCASE("repetition: the prompt counts; positive logits shrink, negative ones grow") {
    s.repetition_penalty = 2;
    const std::vector<std::int32_t> prompt{0, 2};
    Sampler sampler(s, prompt);
    CHECK(sampler.pick(std::vector<float>{3, 1.6f, -1}) == 1);           // 1.5, 1.6, -2
    CHECK(sampler.pick(std::vector<float>{-1, -1.5f, -0.9f, -2}) == 2);  // -2, -3, -1.8, -2
  }
  SUBCASE("presence: once for each generated token, the prompt does not count") {
    s.presence_penalty = 1;
    const std::vector<std::int32_t> prompt{0};
    Sampler sampler(s, prompt);
    const std::vector<float> logits{2, 1.5f, 0};
    CHECK(sampler.pick(logits) == 0);
    CHECK(sampler.pick(logits) == 1);  // 1, 1.5, 0
    CHECK(sampler.pick(logits) == 0);  // 1, 0.5, 0
    CHECK(sampler.pick(logits) == 0);  // still 1
  }
  SUBCASE("frequency: for each time") {
    s.frequency_penalty = 1;
    Sampler sampler(s, {});
    const std::vector<float> logits{2.5f, 1, 0};
    CHECK(sampler.pick(logits) == 0);  // 2.5
    CHECK(sampler.pick(logits) == 0);  // 1.5
    CHECK(sampler.pick(logits) == 1);  // 0.5, 1
    CHECK(sampler.pick(logits) == 0);  // 0.5, 0, 0
  }
}
