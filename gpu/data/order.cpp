// gpu/data/order.cpp - epoch orders by splitmix64 and Fisher-Yates; steps counted as transformers.
#include "gpu/data/order.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "schemas/base/assert.h"

namespace kairo::gpu {
namespace {
constexpr std::uint64_t golden_gamma = 0x9E3779B97F4A7C15;
constexpr std::int64_t steps_max = 1'000'000'000;  // the progress line counts in 32 bits

std::uint64_t next(std::uint64_t& state) {
  state += golden_gamma;
  std::uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}
// Uniform in [0, bound): numbers of the last, incomplete run of bound are drawn again.
std::uint64_t below(std::uint64_t& state, std::uint64_t bound) {
  const std::uint64_t rejected = (0 - bound) % bound;  // 2^64 mod bound
  for (;;) {
    const std::uint64_t number = next(state);
    if (number >= rejected) return number % bound;
  }
}
std::size_t ceil_div(std::size_t a, std::size_t b) {
  return a / b + (a % b != 0);
}
}  // namespace

std::vector<std::size_t> epoch_order(std::size_t rows, bool shuffle, std::uint64_t seed,
                                     std::int64_t epoch) {
  std::vector<std::size_t> order(rows);
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (!shuffle) return order;
  std::uint64_t state = seed + static_cast<std::uint64_t>(epoch) * golden_gamma;
  for (std::size_t i = rows; i > 1; --i) std::swap(order[i - 1], order[below(state, i)]);
  return order;
}

void group_by_length(std::vector<std::size_t>& order, const std::vector<std::size_t>& lengths,
                     std::size_t bag) {
  const std::size_t bags = std::clamp<std::size_t>(order.size() / bag / 4, 1, 50);
  const auto longer = [&](std::size_t a, std::size_t b) { return lengths[a] > lengths[b]; };
  std::size_t longest = 0;
  for (std::size_t begin = 0; begin < order.size(); begin += bags * bag) {
    const std::size_t end = std::min(order.size(), begin + bags * bag);
    std::stable_sort(order.begin() + static_cast<std::ptrdiff_t>(begin),
                     order.begin() + static_cast<std::ptrdiff_t>(end), longer);
    if (longer(order[begin], order[longest])) longest = begin;
  }
  std::swap(order[0], order[longest]);
}

Result<RowOrder> RowOrder::make(const OrderSettings& settings) {
  if (settings.rows == 0) return Error{Code::invalid, "order of rows: the data has no rows"};
  if (settings.batch_size == 0 || settings.gradient_accumulation_steps == 0)
    return Error{Code::invalid,
                 "order of rows: per_device_train_batch_size and gradient_accumulation_steps "
                 "must be at least 1"};
  if (!settings.lengths.empty() && settings.lengths.size() != settings.rows)
    return Error{Code::invalid, "order of rows: lengths of other rows"};
  RowOrder out(settings);
  const auto per_epoch =
      ceil_div(ceil_div(settings.rows, settings.batch_size), settings.gradient_accumulation_steps);
  out.steps_per_epoch_ = static_cast<std::int64_t>(per_epoch);
  const double total = std::ceil(settings.epochs * static_cast<double>(per_epoch));
  if (settings.max_steps > steps_max)
    return Error{Code::invalid, "TrainingArguments.max_steps is " +
                                    std::to_string(settings.max_steps) + "; at most " +
                                    std::to_string(steps_max)};
  if (settings.max_steps > 0) {
    out.total_steps_ = settings.max_steps;
  } else {
    if (!(settings.epochs > 0) || !(total <= static_cast<double>(steps_max)))
      return Error{Code::invalid, "TrainingArguments.num_train_epochs is " +
                                      std::to_string(settings.epochs) +
                                      "; must be positive and give at most " +
                                      std::to_string(steps_max) + " steps; lower it"};
    out.total_steps_ = static_cast<std::int64_t>(total);
  }
  return out;
}

double RowOrder::epochs() const {
  return static_cast<double>(total_steps_) / static_cast<double>(steps_per_epoch_);
}

std::vector<std::size_t> RowOrder::rows_of_step(std::int64_t step) {
  KAIRO_ASSERT(step >= 0 && step < total_steps_, "a step of this run");
  const std::int64_t epoch = step / steps_per_epoch_;
  // No overflow: an epoch has at least one step, so a bag beyond the data means one step an epoch.
  const std::size_t batch = std::min(settings_.batch_size, settings_.rows);
  const std::size_t bag =
      steps_per_epoch_ == 1 ? settings_.rows : batch * settings_.gradient_accumulation_steps;
  if (epoch != epoch_) {
    order_ = epoch_order(settings_.rows, settings_.shuffle, settings_.seed, epoch);
    if (!settings_.lengths.empty()) group_by_length(order_, settings_.lengths, bag);
    epoch_ = epoch;
  }
  const auto in_epoch = static_cast<std::size_t>(step % steps_per_epoch_);
  const std::size_t first = in_epoch * bag;
  const std::size_t last = std::min(settings_.rows, first + bag);
  return {order_.begin() + static_cast<std::ptrdiff_t>(first),
          order_.begin() + static_cast<std::ptrdiff_t>(last)};
}
}  // namespace kairo::gpu
