// gpu/data/masks.h - an example as tokens, and which of them are training targets.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "gpu/data/dataset.h"
#include "gpu/data/example.h"
#include "gpu/formats/training_config.h"
#include "gpu/hf/tokenizer.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
// The whole row, uncut. loss_on answer trains:
//  - of a chat whose template has {% generation %}: what those blocks make;
//  - of another chat: each assistant turn from where its ids part from those of the turns before it
//    with the generation prompt, through its end-of-turn token;
//  - of a chat that is prompt and completion: as above, but only the completion's turns;
//  - of prompt and answer: from where the ids of the prompt and of the whole part (trl 1.16),
//    through the end-of-text token added behind it;
//  - of text: all of it, for there is no answer in it.
// loss_on all trains every token. Neither trains the messages that the row keeps from training.
// trained[0] is 0 always.
// invalid: what the template or the tokenizer refuses, or an assistant turn that cannot be found
// in the rendered chat (loss_on all does without).
Result<Row> tokenise(const Example& example, LossOn loss_on, const Tokenizer& tokenizer);
// Why a chat has nothing to train on, for people: the roles that are there, or weights that are 0.
// Empty where it has an answer.
std::string why_untrained(const Example& example);
// Cuts the row to its first max tokens; returns whether it was longer.
bool cut(Row& row, std::size_t max);
}  // namespace kairo::gpu
