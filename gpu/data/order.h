// gpu/data/order.h - which rows each optimizer step sees: pure, the same on every machine, and
// known from the step's number alone.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::gpu {
struct OrderSettings {
  std::size_t rows = 0;
  std::size_t batch_size = 1;                   // rows of one micro-batch
  std::size_t gradient_accumulation_steps = 1;  // micro-batches of one optimizer step
  double epochs = 1;
  std::int64_t max_steps = -1;  // positive: exactly so many, whatever epochs says
  bool shuffle = true;
  std::uint64_t seed = 0;
  // Tokens of each row: rows of a step are of like length (group_by_length). Empty: they are not.
  std::vector<std::size_t> lengths = {};
};
// RowOrder - immutable but for the last epoch's order, which it remembers; one thread.
// Generator: splitmix64 started at seed + epoch * 0x9E3779B97F4A7C15, Fisher-Yates from the end,
// index by rejection (no modulo bias): no library's distribution is involved.
class RowOrder {
 public:
  // invalid: no rows, a batch or accumulation of 0, epochs that are not positive and finite, more
  // than a billion steps.
  static Result<RowOrder> make(const OrderSettings& settings);
  // As transformers: ceil(ceil(rows / batch_size) / gradient_accumulation_steps).
  std::int64_t steps_per_epoch() const { return steps_per_epoch_; }
  std::int64_t total_steps() const { return total_steps_; }  // ceil(epochs * steps_per_epoch)
  double epochs() const;                                     // total_steps / steps_per_epoch
  // Rows of one optimizer step (from 0); an epoch's last step may be smaller.
  std::vector<std::size_t> rows_of_step(std::int64_t step);

 private:
  explicit RowOrder(const OrderSettings& settings) : settings_(settings) {}
  OrderSettings settings_;
  std::int64_t steps_per_epoch_ = 0, total_steps_ = 0, epoch_ = -1;
  std::vector<std::size_t> order_;  // of epoch_
};
// The order of one epoch (from 0).
std::vector<std::size_t> epoch_order(std::size_t rows, bool shuffle, std::uint64_t seed,
                                     std::int64_t epoch);
// As transformers' LengthGroupedSampler makes it of a random order: cut into min(50, rows / (4
// bag), at least 1) bags at a time, each cut sorted by falling length, the longest row of all put
// first.
void group_by_length(std::vector<std::size_t>& order, const std::vector<std::size_t>& lengths,
                     std::size_t bag);
}  // namespace kairo::gpu
