// gpu/plan/losses_kept.h - so many losses lie on a device before the host looks at them.
#pragma once
#include <algorithm>
#include <cstdint>

namespace kairo::gpu {
// rows: of logits at a time. A quarter of a MiB, so that a step's are looked at once.
constexpr std::int64_t losses_kept(std::int64_t rows) {
  return std::max<std::int64_t>(rows, 1 << 16);
}
}  // namespace kairo::gpu
