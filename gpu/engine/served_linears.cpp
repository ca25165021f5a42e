// gpu/engine/served_linears.cpp - module by module: the base for all rows, then adapters on top.
#include "gpu/engine/served_linears.h"

#include <algorithm>
#include <utility>

namespace kairo::gpu {
ServedLinears::ServedLinears(Ops& ops, const ModelConfig& config, const Weights& weights,
                             std::vector<ServedAdapter> adapters)
    : ops_(ops), config_(config), weights_(weights), adapters_(std::move(adapters)) {
  for (const auto& a : adapters_) rank_ = std::max(rank_, a.rank);
}

void ServedLinears::reserve(std::int64_t tokens) {
  if (delta_.size() >= tokens * config_.hidden) return;
  delta_ = ops_.make(tokens * config_.hidden);
  low_rank_ = ops_.make(tokens * rank_);
}

void ServedLinears::forward(const Mat& y, const Mat& x, std::int64_t layer, Group g, bool add) {
  // What is added to y is summed up first: the sum's bits are those of the module alone.
  const Mat sum = add ? Mat::f32(delta_.data(), y.rows, y.cols) : y;
  std::int64_t first = 0;
  for (const Module m : modules_of(config_, g)) {
    const Frozen& w = weights_.module(layer, m);
    const Mat part = sum.columns_at(first, w.rows);
    ops_.frozen(part, x, w);
    add_adapters(part, x, layer, m);
    first += w.rows;
  }
  if (const Mat& bias = weights_.bias(layer, g); bias.data != nullptr) ops_.add_row(sum, bias);
  if (add) ops_.add(y, sum);
}

void ServedLinears::add_adapters(const Mat& y, const Mat& x, std::int64_t layer, Module m) {
  for (const AdapterRows& run : rows_) {
    if (run.adapter < 0) continue;
    const ServedAdapter& adapter = adapters_[static_cast<std::size_t>(run.adapter)];
    const auto& pair = adapter.layers[static_cast<std::size_t>(layer)][index_of(m)];
    if (pair.a.empty()) continue;
    const Mat low = Mat::f32(low_rank_.data(), run.rows, adapter.rank);
    ops_.gemm(low, x.rows_at(run.begin, run.rows),
              turned(Mat::f32(pair.a.data(), adapter.rank, x.cols)));
    ops_.gemm(y.rows_at(run.begin, run.rows), low,
              turned(Mat::f32(pair.b.data(), y.cols, adapter.rank)), 1, 1);
  }
}
}  // namespace kairo::gpu
