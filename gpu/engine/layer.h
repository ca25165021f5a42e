// gpu/engine/layer.h - one decoder layer, forward and backward, for trainer and generator alike.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "gpu/engine/lora_linears.h"
#include "gpu/engine/ops.h"
#include "gpu/engine/weights.h"
#include "gpu/formats/model_config.h"

namespace kairo::gpu {
// What a layer writes on its way, and a backward pass needs of it. Inputs of groups have the
// group's stride (linears.h).
struct LayerMats {
  std::array<Mat, 4> input;           // normed, attention output, normed, gated
  Mat qkv, middle, gate_up;           // (T, .), rotated; (T, hidden); (T, 2 intermediate)
  Mat inverse_input, inverse_middle;  // (T, 1): the norms' scales
  LayerMats first(std::int64_t tokens) const;
};
struct LayerActivations {
  LayerMats mats;
  std::vector<Buffer> memory;
};
// kept: for a backward pass, everything is there after forward. passing: what is no longer needed
// is overwritten, and `middle` is the caller's x (forward is then called with out = x).
enum class Activations : std::uint8_t { kept, passing };

class Layers {  // one caller at a time
 public:
  // All references must outlive this object. positions: that rows can have. backward_tokens: rows
  // of the largest batch that goes backward; 0: none does.
  Layers(Ops& ops, const ModelConfig& config, const Weights& weights, std::int64_t positions,
         std::int64_t backward_tokens = 0);
  LayerActivations allocate(std::int64_t tokens, const Linears& linears, Activations how) const;
  // x: (T, hidden), the layer's input; out: its output, x itself or without aliasing. cache: what
  // the rows go on from and are appended to; null: sequences begin and end in the batch.
  void forward(const Mat& out, const LayerActivations& activations, const Mat& x,
               std::int64_t layer, const Ragged& rows, Linears& linears,
               const KvCache* cache = nullptr);
  // The row of the rope table (Ragged::angles) for a token of a sequence of so many.
  std::int32_t angle(std::int64_t position, std::int64_t tokens) const;
  // dx: (T, hidden), the gradient of the output, replaced by that of the input x; below the lowest
  // adapted group nothing is computed. Adds to the linears' gradient. Consumes the activations.
  void backward(const Mat& dx, const LayerActivations& activations, const Mat& x,
                std::int64_t layer, const Ragged& rows, LoraLinears& linears);

 private:
  Heads heads_of(std::int64_t layer) const;
  // The q and k heads, where the layer knows positions.
  void rotate(const Mat& qkv, std::int64_t layer, const Ragged& rows, bool inverse);
  Ops& ops_;
  const ModelConfig& config_;
  const Weights& weights_;
  Heads heads_;
  std::int64_t positions_;
  Buffer cos_, sin_, dqkv_;
  RopeMats rope_;
};
}  // namespace kairo::gpu
