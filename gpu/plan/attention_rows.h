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
// How many parts share the backward pass of one head of keys and values, where there are fewer of
// those in a batch (work) than threads: every so-manieth block of queries is a part's.
constexpr std::int64_t backward_parts(std::int64_t threads, std::int64_t work, std::int64_t rows) {
  const std::int64_t wished = (threads + work - 1) / work;
  const std::int64_t blocks = (rows + query_block - 1) / query_block;
  return wished < blocks ? wished : blocks;
}
// Floats for the gradients of keys and values that parts but the first sum up on their own, at
// most.
constexpr std::int64_t partial_gradients(std::int64_t threads, std::int64_t kv_heads,
                                         std::int64_t longest, std::int64_t dim) {
  return threads > kv_heads ? 2 * threads * longest * dim : 0;
}
}  // namespace kairo::gpu
