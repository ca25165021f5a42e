// gpu/engine/linears.h - a layer's linear modules with whatever adapters are on them: the part of a
// layer in which training and serving differ.
#pragma once
#include <cstdint>

#include "gpu/engine/mat.h"
#include "gpu/model/layer_plan.h"

namespace kairo::gpu {
class Linears {
 public:
  virtual ~Linears() = default;
  // Values from one row of a group's input to the next: [in | what the implementation puts beside].
  virtual std::int64_t stride(Group g) const = 0;
  // y (T, out) = x W^T, adapters included; add: y += that. x: (T, in) with the group's stride; what
  // lies beside x is overwritten.
  virtual void forward(const Mat& y, const Mat& x, std::int64_t layer, Group g, bool add) = 0;
};
}  // namespace kairo::gpu
