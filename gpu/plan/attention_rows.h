// gpu/plan/attention_rows.h - how many rows of queries meet the keys at a time.
#pragma once
#include <cstdint>

namespace kairo::gpu {
// The scores of so many rows are in memory at once, per thread: the memory plan counts them.
constexpr std::int64_t query_block = 64;
// Floats of scratch for each thread when at most so many keys are attended to.
constexpr std::int64_t scores_forward(std::int64_t keys) {
  return query_block * keys;
}
constexpr std::int64_t scores_to_train(std::int64_t keys) {  // probabilities and their gradient
  return 2 * query_block * keys;
}
// Of rows in bf16: the same, and a head's rows widened, or a block of them.
constexpr std::int64_t scores_to_train_bf16(std::int64_t keys, std::int64_t dim) {
  return scores_to_train(keys) + 4 * (keys > query_block ? keys : query_block) * dim;
}
}  // namespace kairo::gpu
