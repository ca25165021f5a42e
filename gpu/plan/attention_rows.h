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
// Bytes that libtorch's flash attention takes for a while to train: the output once more and its
// sums, the gradients of output, queries, keys and values in bf16, with a head of keys for each
// head of queries where several share one, and a row's sums and dq in fp32, with 128 rows more for
// each of the segments. Read in its allocations; not measured on a GPU.
constexpr std::int64_t flash_to_train(std::int64_t tokens, std::int64_t segments,
                                      std::int64_t queries, std::int64_t keys, std::int64_t dim) {
  const std::int64_t unit = dim <= 128 ? 32 : 64, padded = tokens + 128 * segments,
                     dim_padded = (dim + unit - 1) / unit * unit;
  const std::int64_t halves =
      tokens * dim * (3 * queries + 2 * keys) + (queries == keys ? 0 : 2 * tokens * queries * dim);
  return 2 * halves + 4 * queries * (tokens + padded + padded * dim_padded);
}
}  // namespace kairo::gpu
