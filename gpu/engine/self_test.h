// gpu/engine/self_test.h - whether a device computes what the CPU does: each call at a few awkward
// shapes, before a model is loaded. A kernel that is wrong then costs speed, never an adapter.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "gpu/engine/forward_ops.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
struct SelfTest {
  struct Finding {
    Call call;
    std::string shape;  // "gemm of 17 x 65 by 65 x 33, bf16"
    double off, bound;  // of the largest value; off is infinite where one is no number
    std::string text() const;
  };
  int trials = 0;
  std::vector<Call> tried;        // which calls they were of
  std::vector<Finding> given_up;  // calls of its own that differed; they are the other device's now
  std::string text() const;       // one line for people
};
// own: the device itself, where some calls are its own; null: it has none to give up. corrupt: one
// that cannot be given up differs; what names it, its shape and the difference.
Result<SelfTest> self_test(Ops& device, ForwardOps* own = nullptr);
}  // namespace kairo::gpu
