// gpu/engine/cpu_layers.h - one decoder layer forward and backward, with its adapters' gradients.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "gpu/engine/buffer.h"
#include "gpu/engine/cpu_attention.h"
#include "gpu/engine/cpu_batch.h"
#include "gpu/engine/cpu_weights.h"
#include "gpu/formats/model_config.h"
#include "gpu/model/lora_layout.h"
#include "gpu/model/rope_table.h"

namespace kairo::gpu {
// What a layer's backward pass needs of its forward pass. Inputs of groups have the group's row
// stride: [x | x A^T | padding].
struct LayerActivations {
  std::array<Buffer, 4> input;           // normed, attention output, normed, gated
  Buffer qkv, middle, gate_up;           // (T, .), rotated; (T, hidden); (T, 2 intermediate)
  Buffer inverse_input, inverse_middle;  // (T): the norms' scales
};
class CpuLayers {  // one caller at a time
 public:
  // All references must outlive this object. tokens_max, longest: as the memory plan.
  CpuLayers(const ModelConfig& config, const LoraLayout& lora, CpuWeights& weights,
            std::int64_t tokens_max, std::int64_t longest, int threads);
  LayerActivations allocate() const;
  // x: (T, hidden), the layer's input; out: (T, hidden), its output; no aliasing.
  void forward(float* out, LayerActivations& kept, const float* x, std::int64_t layer,
               const CpuBatch& batch, std::span<const float> parameters);
  // dx: (T, hidden), the gradient of the output, replaced by that of the input x; below the lowest
  // adapted group nothing is computed. Adds to gradient (the layout's flat buffer). Consumes kept.
  void backward(float* dx, LayerActivations& kept, const float* x, std::int64_t layer,
                const CpuBatch& batch, std::span<const float> parameters,
                std::span<float> gradient);

 private:
  struct Step;  // a group's place in one pass
  // Both for a group whose adapters' inputs are dropped, each by its own mask.
  void multiply_dropped(Buffer& input, const Step& s);
  void multiply_dropped_backward(const Buffer& input, const Step& s, std::span<float> gradient,
                                 bool to_input);
  void multiply(float* y, std::int64_t ld_y, Buffer& input, const Step& s, float beta);
  // Returns false when the gradient need not go on below this group.
  bool multiply_backward(const float* dy, const Buffer& input, const Step& s,
                         std::span<float> gradient);
  const ModelConfig& config_;
  const LoraLayout& lora_;
  CpuWeights& weights_;
  RopeTable rope_;
  CpuAttention attention_;
  std::int64_t tokens_max_;
  Buffer dinput_, dqkv_, dropped_;  // (T, widest group input), (T, qkv), (T, widest in)
};
}  // namespace kairo::gpu
