// gpu/kernels/cross_entropy.h - negative log likelihood of one target per row, and its gradient.
#pragma once
#include <cstdint>

namespace kairo::gpu {
// loss[t] = log(sum_v exp(logits[t][v])) - logits[t][target[t]], natural log.
// logits: (T, V) dense, replaced by scale * (softmax - onehot(target)). target[t] in [0, V).
// With a cap it is cap tanh(logits / cap) whose likelihood is taken; the gradient is the logits'.
// Bound: bytes (three passes over a row that fits the second-level cache).
void cross_entropy_cpu(float* logits, float* loss, const std::int32_t* target, std::int64_t T,
                       std::int64_t V, float scale, float cap = 0);
// x[i] = cap tanh(x[i] / cap)
void softcap_cpu(float* x, std::int64_t n, float cap);
// As cross_entropy_cpu, but the gradient becomes bf16 (bf16.h) and lies in the front half of each
// row's memory: (T, V) with a row stride of 2 V.
void cross_entropy_bf16_cpu(float* logits, float* loss, const std::int32_t* target, std::int64_t T,
                            std::int64_t V, float scale, float cap = 0);
}  // namespace kairo::gpu
