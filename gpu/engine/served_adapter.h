// gpu/engine/served_adapter.h - a finished adapter's matrices, as serving adds them to a model's.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "gpu/engine/buffer.h"
#include "gpu/engine/generator.h"
#include "gpu/formats/model_config.h"
#include "gpu/kernels/low_rank.h"
#include "gpu/model/layer_plan.h"

namespace kairo::gpu {
// One adapter's matrices by group, whose modules read the same x: the parts are those that it
// adapts.
//   delta of part i = b_i (a_i x), the a_i stacked, the b_i turned and side by side, already
//   scaled.
struct ServedAdapter {
  struct Stack {
    std::vector<float> a, b;         // (parts * rank, in), (rank, columns of the parts)
    Buffer held_a, held_b;           // the same where kernels read them, once an adapter is served
    std::vector<LowRankPart> parts;  // columns of the group's output
    std::int64_t cols() const;
  };
  std::int64_t rank = 0;
  std::vector<std::array<Stack, all_groups.size()>> layers;
};
// invalid: modules or shapes that the model does not have, or that the adapter's own config does
// not choose (peft would leave them out).
Result<ServedAdapter> load_served_adapter(const AdapterSource& source, const ModelConfig& config);
}  // namespace kairo::gpu
