// gpu/engine/cpu_weights.h - the frozen weights in fp32 or NF4, with room for the adapter beside
// them.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "gpu/engine/buffer.h"
#include "gpu/engine/engine.h"
#include "gpu/engine/memory_plan.h"
#include "gpu/formats/safetensors.h"
#include "gpu/kernels/nf4.h"
#include "gpu/model/lora_layout.h"

namespace kairo::gpu {
// A group's matrix as the products want it: (out, ld) row-major,
//   columns [0, in)              the base weights
//   columns [in, in + rank)      scale * B, block-diagonal: part p's rows x its own rank columns
// so that y = [x | x A^T] w^T is base and adapter in one product, and dy w gives both gradients.
struct GroupMatrix {
  const float* w;
  std::int64_t out, in, rank, ld;
};
class CpuWeights {  // immutable but for refresh; owned by the engine
 public:
  // Reads every tensor that the config asks for. lora and folder outlive the call only. conflict:
  // options.should_stop said so.
  static Result<CpuWeights> load(const TensorFolder& folder, const ModelConfig& config,
                                 const LoraLayout& lora, const MemoryPlan& plan,
                                 const EngineOptions& options);
  // Takes new B matrices over: after the start, an update or a restore.
  void refresh(const LoraLayout& lora, std::span<const float> parameters);
  // Valid until the next call: NF4 groups that are not cached share one scratch matrix.
  GroupMatrix group(std::int64_t layer, Group g, const LoraLayout& lora,
                    std::span<const float> parameters);
  const float* embedding() const { return embedding_.data(); }                    // (vocab, hidden)
  const float* head() const { return tied_ ? embedding_.data() : head_.data(); }  // the same shape
  const float* norm(std::int64_t index) const;  // 2 l: input, 2 l + 1: post-attention; last: final

 private:
  struct Nf4Matrix {  // one module
    std::vector<std::uint8_t> packed, scales;
    std::vector<float> group_scales;
    float offset = 0;
    Nf4View view() const { return {packed.data(), scales.data(), group_scales.data(), offset}; }
  };
  Status load_group(const TensorFolder& folder, const ModelConfig& config, std::int64_t layer,
                    Group g, const LoraGroup& lora, Method method);
  bool tied_ = false, cached_ = true;
  std::int64_t hidden_ = 0;
  Buffer embedding_, head_, norms_, scratch_;
  std::vector<std::array<Buffer, 4>> matrices_;      // [layer][group]; empty if not cached
  std::vector<std::array<Nf4Matrix, 7>> quantised_;  // [layer][module]; QLoRA
};
}  // namespace kairo::gpu
