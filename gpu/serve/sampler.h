// gpu/serve/sampler.h - the next token from logits.
//
// Order as in vLLM: what is not allowed, biases and penalties, temperature, min-p, top-k, top-p,
// then one draw. Reproducible: the same seed, settings and logits give the same tokens on every
// machine.
#pragma once
#include <cstdint>
#include <random>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace kairo::gpu {
struct Sampling {
  float temperature = 1.0f;         // >= 0; 0 = greedy
  float top_p = 1.0f;               // (0, 1]; 1 = all
  float min_p = 0.0f;               // [0, 1]; of the likeliest token's probability
  int top_k = 0;                    // 0 = all
  float repetition_penalty = 1.0f;  // > 0; divides the logits of tokens seen, prompt included
  float presence_penalty = 0.0f;    // taken off once for each generated token
  float frequency_penalty = 0.0f;   // taken off for each time it was generated
  std::vector<std::pair<std::int32_t, float>> biases;  // token, what is added to its logit
  std::uint64_t seed = 0;
};
// The logarithms of probabilities, as the model gives them: before all that is said above.
struct Likely {
  float chosen = 0;
  std::vector<std::pair<std::int32_t, float>> best;  // best first
};
// best: so many of the likeliest tokens, at most the vocabulary.
Likely likely_of(std::span<const float> logits, std::int32_t chosen, int best);
class Sampler {
 public:
  // prompt: what repetition_penalty counts as seen from the start.
  Sampler(const Sampling& settings, std::span<const std::int32_t> prompt);
  // logits: (vocab) f32, at least one. allowed: empty, or a bit a token in words of 32. The token
  // drawn is remembered as generated.
  std::int32_t pick(std::span<const float> logits, std::span<const std::uint32_t> allowed = {});

 private:
  std::span<const float> adjusted(std::span<const float> logits,
                                  std::span<const std::uint32_t> allowed);
  std::int32_t draw(std::span<const float> logits);
  Sampling settings_;
  std::mt19937_64 random_;
  std::unordered_map<std::int32_t, int> seen_;  // token -> times generated (0: in the prompt)
  std::vector<float> scratch_;
  std::vector<std::pair<float, std::int32_t>> order_;  // the best tokens, best first
};
}  // namespace kairo::gpu
