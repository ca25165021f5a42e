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
// group's stride (linears.h). Inputs, qkv and gate_up lie in the weights' type; all else is fp32.
struct LayerMats {
  std::array<Mat, 4> input;              // normed, attention output, normed, gated
  Mat qkv, middle, gate_up;              // (T, .), rotated; (T, hidden); (T, 2 intermediate)
  std::array<Mat, norm_places> inverse;  // (T, 1 or heads): the norms' scales
  // Where the family has such: queries and keys before their norm, (T, their columns); what a half
  // gives before it is normed or scaled, (T, hidden).
  Mat unnormed, attended, fed;
  LayerMats first(std::int64_t tokens) const;
};
struct LayerActivations {
  LayerMats mats;
  std::vector<Buffer> memory;
};
// kept: for a backward pass, what it cannot make again at little cost is there after forward; other
// inputs of groups lie in memory that all layers share. passing: what is no longer needed is
// overwritten, and `middle` is the caller's x (forward is then called with out = x).
enum class Activations : std::uint8_t { kept, passing };

// Of either kind.
void norm(Ops& ops, const Mat& out, const Mat& inverse, const Mat& x, const NormWeights& weights,
          float eps);
// Added to dx.
void norm_backward(Ops& ops, const Mat& dx, const Mat& dout, const Mat& x, const Mat& inverse,
                   const NormWeights& weights);

class Layers {  // one caller at a time
 public:
  // All references must outlive this object. positions: that rows can have. backward_tokens: rows
  // of the largest batch that goes backward; 0: none does.
  Layers(Ops& ops, const ModelConfig& config, const Weights& weights, std::int64_t positions,
         std::int64_t backward_tokens = 0);
  // x: (T, hidden), the first layer's input. tokens: the device's.
  void embed(const Mat& x, const std::int32_t* tokens);
  LayerActivations allocate(std::int64_t tokens, const Linears& linears, Activations how);
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
  // Where a product's sums go that m then takes: m itself, where it is fp32.
  Mat sums_of(const Mat& m) const;
  Mat queries_of(const Mat& qkv) const;  // and keys_of: where a norm is, they lie together
  Mat keys_of(const Mat& qkv) const;
  // The q and k heads: their norm, then, where the layer knows positions, their turn.
  void norm_and_rotate(const LayerMats& m, std::int64_t layer, const Ragged& rows);
  void norm_and_rotate_backward(const Mat& dqkv, const LayerMats& m, std::int64_t layer,
                                const Ragged& rows);
  void rotate(const Mat& qkv, std::int64_t layer, const Ragged& rows, bool inverse);
  // What a half reads: x, normed where the family norms there.
  void enter_half(const Mat& in, const LayerMats& m, const Mat& x, std::int64_t layer, NormAt at);
  // to = from + what the half's last product gives of in. scratch: (T, hidden) where to is from.
  void leave_half(const Mat& to, const Mat& from, const LayerMats& m, std::int64_t layer, Group g,
                  const Mat& scratch, Linears& linears);
  void enter_half_backward(const Mat& dx, const Mat& din, const LayerMats& m, const Mat& x,
                           std::int64_t layer, NormAt at);
  // The input of a group as forward had it, from what is kept.
  void restore(const LayerMats& m, const Mat& x, std::int64_t layer, Group g, LoraLinears& linears);
  // The gradient of what the half's last product gives.
  Mat leave_half_backward(const Mat& dout, const LayerMats& m, std::int64_t layer, Group g);
  Ops& ops_;
  const ModelConfig& config_;
  const Weights& weights_;
  Heads heads_;
  std::int64_t positions_;
  struct Rope {
    Buffer cos, sin;
    RopeMats mats;
  };
  Rope rope_, query_rope_, local_rope_;  // of keys or both; of queries where they differ
  Buffer dqkv_, dbranch_, sums_;
  std::array<Buffer, 4> shared_;  // inputs of groups that are made again
};
}  // namespace kairo::gpu
