// gpu/engine/served_linears.h - frozen modules, and on each run of rows the adapter that it asks
// for.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "gpu/engine/linears.h"
#include "gpu/engine/ops.h"
#include "gpu/engine/served_adapter.h"
#include "gpu/engine/weights.h"

namespace kairo::gpu {
// Neighbouring rows of a batch with the same adapter: index into the adapters, -1 = none.
struct AdapterRows {
  int adapter;
  std::int64_t begin, rows;
};
class ServedLinears final : public Linears {  // one caller at a time
 public:
  // weights: without room. The references must outlive this.
  ServedLinears(Ops& ops, const ModelConfig& config, const Weights& weights);
  int add(ServedAdapterPtr adapter);  // its index: 0, 1, .. in the order of the calls
  void drop(int adapter);             // and its memory; it must be there
  bool has(int adapter) const {
    return adapter >= 0 && adapter < static_cast<int>(adapters_.size()) &&
           adapters_[static_cast<std::size_t>(adapter)] != nullptr;
  }
  void reserve(std::int64_t tokens);  // of the largest batch so far
  // Of the calls from now on.
  void use(std::vector<AdapterRows> rows) { rows_ = std::move(rows); }

  std::int64_t stride(Group g) const override { return shape_of(config_, g).in; }
  void forward(const Mat& y, const Mat& x, std::int64_t layer, Group g, bool add) override;

 private:
  void add_adapters(const Mat& y, const Mat& x, std::int64_t layer, Group g);
  Ops& ops_;
  const ModelConfig& config_;
  const Weights& weights_;
  std::vector<ServedAdapterPtr> adapters_;  // null: dropped
  std::vector<AdapterRows> rows_;
  std::vector<Frozen> stacked_;   // a group's modules
  std::int64_t low_columns_ = 1;  // of the widest stack
  Buffer delta_, low_rank_;       // (T, hidden), (T, low_columns)
};
}  // namespace kairo::gpu
