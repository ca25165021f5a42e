// gpu/plan/step_flops.h - what a training step's products cost (pure).
#pragma once
#include <cstdint>

#include "gpu/model/lora_layout.h"

namespace kairo::gpu {
// Floating-point operations of the products with weights, adapters and the head, forward and
// backward, a multiplication and an addition counted as two. Attention's own are not among them.
struct StepFlops {
  double per_token = 0;   // of the layers
  double per_target = 0;  // of the head, which only tokens before a target pass
};
// kept_layers: those whose activations stay; the others run forward twice.
StepFlops step_flops(const ModelConfig& config, const LoraLayout& lora, std::int64_t kept_layers);
}  // namespace kairo::gpu
