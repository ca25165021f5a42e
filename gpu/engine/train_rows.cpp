// gpu/engine/train_rows.cpp - which of a row's tokens run, and which of them predict.
#include "gpu/engine/train_rows.h"

#include <algorithm>

namespace kairo::gpu {
std::int64_t inputs_of(const TrainRow& row) {
  std::size_t last = row.trained.size();
  while (last > 1 && row.trained[last - 1] == 0) --last;
  return last > 1 ? static_cast<std::int64_t>(last) - 1 : 0;
}

Status check_row(const TrainRow& row, const ModelConfig& config, std::int64_t longest) {
  if (row.tokens.size() != row.trained.size())
    return Error{Code::invalid, "a row's tokens and mask differ in length"};
  if (inputs_of(row) > std::min(longest, config.positions))
    return Error{Code::invalid, "a row has " + std::to_string(row.tokens.size()) +
                                    " tokens, more than planned or than the model's positions"};
  for (const auto token : row.tokens)
    if (token < 0 || token >= config.vocab)
      return Error{Code::invalid, "token " + std::to_string(token) +
                                      " is not in the model's vocabulary of " +
                                      std::to_string(config.vocab)};
  return ok();
}

void append_row(TrainBatch& batch, const TrainRow& row, std::int64_t inputs, const Layers& layers) {
  const auto base = static_cast<std::int32_t>(batch.T());
  const auto tokens = static_cast<std::int64_t>(row.tokens.size());
  for (std::int32_t i = 0; i < inputs; ++i) {
    const auto at = static_cast<std::size_t>(i);
    batch.add(row.tokens[at], i, layers.angle(i, tokens));
    if (row.trained[at + 1] == 0) continue;
    batch.predicting.push_back(base + i);
    batch.targets.push_back(row.tokens[at + 1]);
  }
  batch.end_segment();
}
}  // namespace kairo::gpu
