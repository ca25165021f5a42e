// gpu/kernels/cross_entropy.h - negative log likelihood of one target per row, and its gradient.
#pragma once
#include <cstdint>

namespace kairo::gpu {
// loss[t] = log(sum_v exp(logits[t][v])) - logits[t][target[t]], natural log.
// logits: (T, V) dense, replaced by scale * (softmax - onehot(target)). target[t] in [0, V).
// Bound: bytes (three passes over a row that fits the second-level cache).
void cross_entropy_cpu(float* logits, float* loss, const std::int32_t* target, std::int64_t T,
                       std::int64_t V, float scale);
}  // namespace kairo::gpu
