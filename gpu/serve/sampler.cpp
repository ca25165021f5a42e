// gpu/serve/sampler.cpp
#include "gpu/serve/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace kairo::gpu {
namespace {
// Several values at a time, which std::max_element does not do.
float highest_of(std::span<const float> logits) {
  float highest = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : highest)
  for (std::size_t i = 0; i < logits.size(); ++i) highest = std::max(highest, logits[i]);
  return highest;
}
// Of equal logits the lowest token wins, so that greedy answers do not depend on the library; token
// 0 where none is a number.
std::int32_t best(std::span<const float> logits) {
  const auto at = std::find(logits.begin(), logits.end(), highest_of(logits));
  return at == logits.end() ? 0 : static_cast<std::int32_t>(at - logits.begin());
}
}  // namespace

Sampler::Sampler(const Sampling& settings, std::span<const std::int32_t> prompt)
    : settings_(settings), random_(settings.seed) {
  if (settings.repetition_penalty == 1.0f) return;
  for (const std::int32_t token : prompt) seen_.try_emplace(token, 0);
}

std::span<const float> Sampler::adjusted(std::span<const float> logits,
                                         std::span<const std::uint32_t> allowed) {
  const auto& s = settings_;
  const bool has_penalties =
      s.repetition_penalty != 1.0f || s.presence_penalty != 0 || s.frequency_penalty != 0;
  if (!has_penalties && s.biases.empty() && allowed.empty()) return logits;
  scratch_.assign(logits.begin(), logits.end());
  if (has_penalties)
    for (const auto& [token, times] : seen_) {
      float& value = scratch_[static_cast<std::size_t>(token)];
      value = value > 0 ? value / s.repetition_penalty : value * s.repetition_penalty;
      if (times > 0) value -= s.presence_penalty + s.frequency_penalty * static_cast<float>(times);
    }
  for (const auto& [token, bias] : s.biases) scratch_[static_cast<std::size_t>(token)] += bias;
  for (std::size_t i = 0; !allowed.empty() && i < scratch_.size(); ++i)
    if ((allowed[i / 32] >> (i % 32) & 1) == 0)
      scratch_[i] = -std::numeric_limits<float>::infinity();
  return scratch_;
}

std::int32_t Sampler::draw(std::span<const float> logits) {
  const std::size_t vocab = logits.size();
  const float highest = highest_of(logits);
  const auto weight = [&](float logit) {
    const float share = std::exp((logit - highest) / settings_.temperature);
    return share < settings_.min_p ? 0.0 : static_cast<double>(share);
  };
  const std::size_t top_k =
      settings_.top_k > 0 ? std::min<std::size_t>(static_cast<std::size_t>(settings_.top_k), vocab)
                          : vocab;
  const double uniform = static_cast<double>(random_() >> 11) * 0x1p-53;  // [0, 1)
  if (top_k == vocab && settings_.top_p >= 1.0f) {
    double total = 0;
    for (const float logit : logits) total += weight(logit);
    double left = uniform * total;
    for (std::size_t i = 0; i < vocab; ++i) {
      left -= weight(logits[i]);
      if (left < 0) return static_cast<std::int32_t>(i);
    }
    return best(logits);  // rounding used all of it up
  }
  order_.clear();
  for (std::size_t i = 0; i < vocab; ++i)
    order_.emplace_back(logits[i], static_cast<std::int32_t>(i));
  const auto better = [](const auto& a, const auto& b) {
    return a.first > b.first || (a.first == b.first && a.second < b.second);
  };
  const auto cut = order_.begin() + static_cast<std::ptrdiff_t>(top_k);
  if (top_k < vocab) std::nth_element(order_.begin(), cut, order_.end(), better);
  order_.resize(top_k);
  double total = 0;
  for (const auto& [logit, token] : order_) total += weight(logit);
  // The smallest set of best tokens that holds top_p: sorted only as far as it reaches.
  std::size_t sorted = 0, keep = 0;
  double kept = 0;
  const double wanted = static_cast<double>(settings_.top_p) * total;
  while (keep < order_.size() && (keep == 0 || kept < wanted)) {
    if (keep == sorted) {
      const std::size_t next = std::min(order_.size(), std::max<std::size_t>(64, sorted * 4));
      std::partial_sort(order_.begin() + static_cast<std::ptrdiff_t>(sorted),
                        order_.begin() + static_cast<std::ptrdiff_t>(next), order_.end(), better);
      sorted = next;
    }
    kept += weight(order_[keep++].first);
  }
  double left = uniform * kept;
  for (std::size_t i = 0; i < keep; ++i) {
    left -= weight(order_[i].first);
    if (left < 0) return order_[i].second;
  }
  return order_.front().second;
}

std::int32_t Sampler::pick(std::span<const float> logits, std::span<const std::uint32_t> allowed) {
  const std::span<const float> scores = adjusted(logits, allowed);
  const std::int32_t token = settings_.temperature <= 0 ? best(scores) : draw(scores);
  ++seen_[token];
  return token;
}

Likely likely_of(std::span<const float> logits, std::int32_t chosen, int best) {
  const float highest = highest_of(logits);
  double total = 0;
  for (const float logit : logits) total += static_cast<double>(std::exp(logit - highest));
  const float offset = highest + static_cast<float>(std::log(total));
  std::vector<std::pair<std::int32_t, float>> order;
  for (std::size_t i = 0; i < logits.size(); ++i)
    order.emplace_back(static_cast<std::int32_t>(i), logits[i]);
  const auto end = order.begin() + std::min<std::ptrdiff_t>(best, std::ssize(order));
  std::partial_sort(order.begin(), end, order.end(), [](const auto& a, const auto& b) {
    return a.second > b.second || (a.second == b.second && a.first < b.first);
  });
  Likely out{logits[static_cast<std::size_t>(chosen)] - offset, {order.begin(), end}};
  for (auto& [token, logit] : out.best) logit -= offset;
  return out;
}
}  // namespace kairo::gpu
