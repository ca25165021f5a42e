// gpu/engine/served_linears.cpp - a group's modules as one product, then adapters on top.
#include "gpu/engine/served_linears.h"

#include <algorithm>
#include <utility>

namespace kairo::gpu {
ServedLinears::ServedLinears(Ops& ops, const ModelConfig& config, const Weights& weights)
    : ops_(ops), config_(config), weights_(weights) {}

int ServedLinears::add(ServedAdapterPtr adapter) {
  const auto hold = [this](std::vector<float>& host) {
    Buffer held = ops_.held(host.data(), 4 * static_cast<std::int64_t>(host.size()));
    if (held.data() != host.data()) host = {};
    return held;
  };
  std::int64_t columns = low_columns_;
  for (auto& layer : adapter->layers)
    for (auto& stack : layer) {
      if (stack.parts.empty()) continue;
      columns = std::max(columns, adapter->rank * static_cast<std::int64_t>(stack.parts.size()));
      stack.held_a = hold(stack.a);
      stack.held_b = hold(stack.b);
    }
  if (columns > low_columns_ && low_rank_.size() > 0)
    low_rank_ = ops_.make(low_rank_.size() / low_columns_ * columns);
  low_columns_ = columns;
  adapters_.push_back(std::move(adapter));
  return static_cast<int>(adapters_.size()) - 1;
}

void ServedLinears::drop(int adapter) {
  adapters_[static_cast<std::size_t>(adapter)] = nullptr;
}

void ServedLinears::reserve(std::int64_t tokens) {
  if (delta_.size() >= tokens * config_.hidden) return;
  delta_ = ops_.make(tokens * config_.hidden);
  low_rank_ = ops_.make(tokens * low_columns_);
}

void ServedLinears::forward(const Mat& y, const Mat& x, std::int64_t layer, Group g, bool add) {
  // What is added to y is summed up first: the sum's bits are those of the module alone.
  const Mat sum = add ? Mat::f32(delta_.data(), y.rows, y.cols) : y;
  stacked_.clear();
  for (const Module m : modules_of(config_, g)) stacked_.push_back(weights_.module(layer, m));
  ops_.frozen(sum, x, stacked_);
  add_adapters(sum, x, layer, g);
  if (const Mat& bias = weights_.bias(layer, g); bias.data != nullptr) ops_.add_row(sum, bias);
  if (add) ops_.add(y, sum);
}

void ServedLinears::add_adapters(const Mat& y, const Mat& x, std::int64_t layer, Group g) {
  for (const AdapterRows& run : rows_) {
    if (run.adapter < 0) continue;
    ServedAdapter& adapter = *adapters_[static_cast<std::size_t>(run.adapter)];
    auto& stack = adapter.layers[static_cast<std::size_t>(layer)][index_of(g)];
    if (stack.parts.empty()) continue;
    const auto parts = static_cast<std::int64_t>(stack.parts.size());
    const Frozen a = Frozen::of(Stored::f32, stack.held_a.data(), parts * adapter.rank, x.cols);
    const Mat low = Mat::f32(low_rank_.data(), run.rows, a.rows);
    ops_.frozen(low, x.rows_at(run.begin, run.rows), a);
    ops_.add_low_rank(y.rows_at(run.begin, run.rows), low,
                      Mat::f32(stack.held_b.data(), adapter.rank, stack.cols()), stack.parts);
  }
}
}  // namespace kairo::gpu
