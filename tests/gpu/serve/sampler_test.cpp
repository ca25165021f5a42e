// tests/gpu/serve/sampler_test.cpp - tokens are drawn with the probabilities that the settings
// name, and again the same with the same seed.
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
// Pearson's sum over the tokens that may come; one that may not come makes it endless. For the true
// shares it is near the number of cells; a share that is a tenth off adds hundreds.
double chi_square(const std::map<std::int32_t, int>& seen, const std::vector<double>& shares,
                  int times) {
  double out = 0;
  for (const auto& [token, count] : seen)
    if (shares[static_cast<std::size_t>(token)] == 0) return INFINITY;
  for (std::size_t token = 0; token < shares.size(); ++token) {
    if (shares[token] == 0) continue;
    const auto at = seen.find(static_cast<std::int32_t>(token));
    const double count = at == seen.end() ? 0 : at->second, wanted = shares[token] * times;
    out += (count - wanted) * (count - wanted) / wanted;
  }
  return out;
}
}  // namespace

TEST_CASE("greedy: the best token, the lowest of equals") {
  Sampling greedy;
  greedy.temperature = 0;
  Sampler sampler(greedy, {});
  CHECK(sampler.pick(std::vector<float>{1, 3, 3, -2}) == 1);
  CHECK(sampler.pick(std::vector<float>{-5}) == 0);
  std::vector<float> many(1003, -7.0f);  // whatever is compared at a time
  for (const std::size_t at : {1002, 1000, 801, 17, 3, 0}) {
    many[at] = 2.5f;
    CHECK(sampler.pick(many) == static_cast<std::int32_t>(at));
  }
  CHECK(sampler.pick(std::vector<float>{NAN, 1, NAN, 2}) == 3);
  CHECK(sampler.pick(std::vector<float>{NAN, NAN}) == 0);
  Sampling one;
  one.top_k = 1;
  Sampler only(one, {});
  for (int i = 0; i < 20; ++i) CHECK(only.pick(std::vector<float>{1, 3, 3.5f, -2}) == 2);
  Sampler tied(one, {});
  for (int i = 0; i < 20; ++i) CHECK(tied.pick(std::vector<float>{1, 3, 3, -2}) == 1);
  Sampling cold;  // so cold that every other token's weight is 0
  cold.temperature = 1e-30f;
  Sampler frozen(cold, {});
  for (int i = 0; i < 20; ++i) CHECK(frozen.pick(std::vector<float>{1, 3, 3.5f, -2}) == 2);
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
    // 3 degrees of freedom at most: above 25 once in 60,000 right samplers.
    CHECK(chi_square(drawn(s, logits, times), row.shares, times) < 25);
  }
}

TEST_CASE("200 tokens, even ones twice as likely as odd ones: shares beyond the first 64 sorted") {
  std::vector<float> logits;
  for (int i = 0; i < 200; ++i) logits.push_back(i % 2 == 0 ? log_of(2) : 0.0f);
  struct Row {
    std::string name;
    float top_p;
    int top_k;
    int odd_tokens;  // that may come, the lowest; all 100 even ones may
    double unit;     // share of an odd token
  };
  const Row rows[] = {
      {"plain", 1, 0, 100, 1.0 / 300},
      {"top_k 120", 1, 120, 20, 1.0 / 220},
      {"top_k 199", 1, 199, 99, 1.0 / 299},
      {"top_p 0.799: 239.7 of 300", 0.799f, 0, 40, 1.0 / 240},
      {"top_p of what top_k left: 219.5 of 220", 0.9977f, 120, 20, 1.0 / 220},
  };
  constexpr int times = 20'000;
  for (const Row& row : rows) {
    CAPTURE(row.name);
    std::vector<double> shares(200, 0.0);
    for (int i = 0; i < 200; ++i)
      if (i % 2 == 0 || i / 2 < row.odd_tokens)
        shares[static_cast<std::size_t>(i)] = i % 2 == 0 ? 2 * row.unit : row.unit;
    Sampling s;
    s.top_p = row.top_p;
    s.top_k = row.top_k;
    const auto seen = drawn(s, logits, times);
    CHECK(seen.size() == 100 + static_cast<std::size_t>(row.odd_tokens));
    // 199 degrees of freedom at most: mean 199, standard deviation 20.
    CHECK(chi_square(seen, shares, times) < 199 + 5 * 20);
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
  // What a seed gives is part of what users keep: mt19937_64's first draws, 53 bits of each, * 64.
  CHECK(tokens(5) ==
        std::vector<std::int32_t>{43, 2, 14, 43, 5, 6, 8, 44, 50, 14, 3, 36, 17, 59, 18, 19});
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

// The value that a token's logit becomes shows in whom it beats: a rival just below or above it.
TEST_CASE("penalties together, to a hundredth") {
  struct Row {
    std::string name;
    float repetition, presence, frequency;
    std::vector<std::int32_t> prompt;
    int generated;  // times that token 0 came before
    float logit;    // of token 0
    float becomes;
  };
  const Row rows[] = {
      {"none", 1, 0, 0, {0}, 2, 4, 4},
      {"repetition of a positive logit, prompt", 2, 0, 0, {0}, 0, 4, 2},
      {"repetition of a negative logit, prompt", 2, 0, 0, {0}, 0, -4, -8},
      {"repetition counts a token once", 2, 0, 0, {0, 0, 0}, 2, 4, 2},
      {"repetition, generated", 2, 0, 0, {}, 1, 4, 2},
      {"repetition below 1 favours", 0.5f, 0, 0, {0}, 0, 4, 8},
      {"repetition leaves other tokens", 2, 0, 0, {5}, 0, 4, 4},
      {"presence, twice generated", 1, 0.5f, 0, {}, 2, 4, 3.5f},
      {"presence, prompt", 1, 0.5f, 0, {0}, 0, 4, 4},
      {"negative presence favours", 1, -1, 0, {}, 1, 4, 5},
      {"frequency, three times", 1, 0, 0.5f, {0}, 3, 4, 2.5f},
      {"frequency, prompt", 1, 0, 0.5f, {0, 0}, 0, 4, 4},
      {"all: 4 / 2 - 0.25 - 2 * 0.5", 2, 0.25f, 0.5f, {0}, 2, 4, 0.75f},
      {"all, negative: -4 * 2 - 0.25 - 2 * 0.5", 2, 0.25f, 0.5f, {0}, 2, -4, -9.25f},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    for (const float apart : {-0.01f, 0.01f}) {
      CAPTURE(apart);
      Sampling s;
      s.temperature = 0;
      s.repetition_penalty = row.repetition;
      s.presence_penalty = row.presence;
      s.frequency_penalty = row.frequency;
      Sampler sampler(s, row.prompt);
      for (int i = 0; i < row.generated; ++i)
        REQUIRE(sampler.pick(std::vector<float>{100, -100, -100, -100, -100, -100}) == 0);
      const std::vector<float> logits{row.logit, row.becomes + apart, -99, -99, -99, -99};
      CHECK(sampler.pick(logits) == (apart > 0 ? 1 : 0));
    }
  }
}

TEST_CASE("penalties change what is drawn, not only what is best") {
  Sampling s;
  s.repetition_penalty = 2;
  const std::vector<std::int32_t> prompt{0};
  std::map<std::int32_t, int> seen;
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    s.seed = i;
    ++seen[Sampler(s, prompt).pick(std::vector<float>{log_of(9), 0, 0})];
  }
  // log 9 / 2 = log 3: three to one to one.
  CHECK(chi_square(seen, {0.6, 0.2, 0.2}, 20'000) < 25);
}

TEST_CASE("min_p: what is less likely than that share of the likeliest never comes") {
  const std::vector<float> logits = {log_of(0.5), log_of(0.3), log_of(0.15), log_of(0.05)};
  Sampling s;
  s.min_p = 0.31f;  // of 0.5: 0.155
  CHECK(chi_square(drawn(s, logits, 20'000), {0.625, 0.375, 0, 0}, 20'000) < 20);
  s.top_p = 0.5f;  // then: 0.625 is enough
  CHECK(drawn(s, logits, 100) == std::map<std::int32_t, int>{{0, 100}});
}

TEST_CASE("biases are added; what is not allowed never comes, however likely") {
  const std::vector<float> logits = {3, 2, 1, 0};
  Sampling s;
  s.temperature = 0;
  s.biases = {{3, 4.0f}, {0, -100.0f}};
  CHECK(Sampler(s, {}).pick(logits) == 3);
  const std::vector<std::uint32_t> allowed = {0b0110};
  CHECK(Sampler(s, {}).pick(logits, allowed) == 1);
  s.temperature = 1;
  s.biases = {};
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    s.seed = seed;
    const auto token = Sampler(s, {}).pick(logits, allowed);
    CHECK((token == 1 || token == 2));
  }
}

TEST_CASE("how likely the tokens are: of the model, best first, the lower of equals first") {
  const std::vector<float> logits = {log_of(0.125) + 5, log_of(0.5) + 5, log_of(0.25) + 5,
                                     log_of(0.125) + 5};
  const Likely likely = likely_of(logits, 3, 3);
  CHECK(likely.chosen == doctest::Approx(std::log(0.125)));
  REQUIRE(likely.best.size() == 3);
  CHECK(likely.best[0].first == 1);
  CHECK(likely.best[0].second == doctest::Approx(std::log(0.5)));
  CHECK(likely.best[1].first == 2);
  CHECK(likely.best[2].first == 0);
  CHECK(likely_of(logits, 0, 0).best.empty());
  CHECK(likely_of(logits, 0, 20).best.size() == 4);
}
