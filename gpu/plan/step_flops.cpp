// gpu/plan/step_flops.cpp - y = [x | x A^T] [W | B]^T and back: dx, dA, dB; no gradient of W.
#include "gpu/plan/step_flops.h"

namespace kairo::gpu {
StepFlops step_flops(const ModelConfig& config, const LoraLayout& lora, std::int64_t kept_layers) {
  double forward = 0, backward = 0;
  for (const auto& layer : lora.groups)
    for (const LoraGroup& g : layer) {
      const auto in = static_cast<double>(g.in), rank = static_cast<double>(g.rank_total);
      double parts = 0;  // of B: each module's rows by its own rank
      for (const auto& part : g.parts)
        parts += static_cast<double>(part.out) * static_cast<double>(lora.rank);
      const double both = static_cast<double>(g.out) * (in + rank), low = in * rank;
      forward += 2 * (both + low);
      backward += 2 * (both + 2 * low + parts);
    }
  const auto layers = static_cast<double>(config.layers);
  const double again = (layers - static_cast<double>(kept_layers)) / layers;
  return {forward * (1 + again) + backward,
          4.0 * static_cast<double>(config.vocab) * static_cast<double>(config.hidden)};
}
}  // namespace kairo::gpu
