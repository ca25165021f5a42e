// gpu/engine/train_rows.h - a row as a batch takes it.
#pragma once
#include <cstdint>

#include "gpu/engine/batch.h"
#include "gpu/engine/engine.h"
#include "gpu/engine/layer.h"

namespace kairo::gpu {
// Tokens that must run: those before the last target. The last one predicts it. 0: nothing to do.
std::int64_t inputs_of(const TrainRow& row);
// invalid: tokens and mask differ in length, a token outside the vocabulary, or more inputs than
// longest (as planned) or than the model's positions.
Status check_row(const TrainRow& row, const ModelConfig& config, std::int64_t longest);
// A checked row as the batch's next segment.
void append_row(TrainBatch& batch, const TrainRow& row, std::int64_t inputs, const Layers& layers);
}  // namespace kairo::gpu
