// gpu/model/lora_choice.h - from an adapter's targets to its layout.
#pragma once
#include "gpu/formats/lora_targets.h"
#include "gpu/model/lora_layout.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
// Where a training names none: peft's for the family; where that has none (fused matrices), those
// of KAITO's documentation.
std::vector<std::string> default_targets(const ModelConfig& config);
// invalid: a target that matches nothing, or something that is no linear module of a layer; names
// what there is.
Result<LoraLayout> make_lora_layout(const ModelConfig& config, std::int64_t rank, double scale,
                                    const LoraTargets& targets);
}  // namespace kairo::gpu
