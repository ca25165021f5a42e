// gpu/engine/served_adapter.h - a finished adapter's matrices, as serving adds them to a model's.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "gpu/engine/generator.h"
#include "gpu/formats/model_config.h"
#include "gpu/model/layer_plan.h"

namespace kairo::gpu {
// One adapter's matrices by module; empty where it has none.   delta = b (a x), b already scaled.
struct ServedAdapter {
  struct Pair {
    std::vector<float> a, b;  // (rank, in), (out, rank)
  };
  std::int64_t rank = 0;
  std::vector<std::array<Pair, module_kinds>> layers;
};
// invalid: modules or shapes that the model does not have, or that the adapter's own config does
// not choose (peft would leave them out).
Result<ServedAdapter> load_served_adapter(const AdapterSource& source, const ModelConfig& config);
}  // namespace kairo::gpu
