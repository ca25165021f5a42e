// gpu/engine/lora_linears.h - one trainable adapter: base and adapter are one product per group.
#pragma once
#include <array>
#include <cstdint>
#include <optional>

#include "gpu/engine/linears.h"
#include "gpu/engine/ops.h"
#include "gpu/engine/weights.h"
#include "gpu/model/lora_layout.h"

namespace kairo::gpu {
// A group's matrix is (out, stride):
//   columns [0, in)              the base weights
//   columns [in, in + rank)      scale * B, block-diagonal: part p's rows x its own rank columns
// so that y = [x | x A^T] w^T is base and adapter in one product, and dy w gives both gradients.
// Where the weights are bf16, so are x and what is made here as a factor of products: x A^T, dy,
// d(x A^T), and a copy of A. Parameters and gradients are fp32, and so are y and dx.
class LoraLinears final : public Linears {  // one caller at a time
 public:
  // weights: with room for lora. All references must outlive this. tokens_max: rows of a batch.
  LoraLinears(Ops& ops, const LoraLayout& lora, Weights& weights, std::int64_t tokens_max);
  // What the calls from now on work with: flat, in the layout's order; dropout_keys: one of each
  // row of the batch, null: nothing is dropped.
  void use(const Mat& parameters, const Mat& gradient, const std::uint64_t* dropout_keys);
  void refresh();  // takes new B matrices over: after the start, an update or a restore

  std::int64_t stride(Group g) const override { return lora_.groups[0][index_of(g)].stride; }
  void forward(const Mat& y, const Mat& x, std::int64_t layer, Group g, bool add) override;
  // Whether backward reads x; and what forward left beside it, made again.
  bool is_adapted(std::int64_t layer, Group g) const { return at(layer, g).rank_total > 0; }
  void restore(const Mat& x, std::int64_t layer, Group g);
  // Adds to the gradient for dy (T, out). x: as forward left it. Returns the gradient of x, valid
  // until the next call; none when nothing below this group is adapted.
  std::optional<Mat> backward(const Mat& dy, const Mat& x, std::int64_t layer, Group g);

 private:
  using Part = LoraGroup::Part;
  const LoraGroup& at(std::int64_t layer, Group g) const;
  Mat matrix(std::int64_t layer, Group g);
  void place(const Mat& matrix, const LoraGroup& g);
  Mat a_of(const Mat& flat, const LoraGroup& g) const;
  Mat a_of(const Mat& flat, const LoraGroup& g, const Part& part) const;
  Mat b_of(const Mat& flat, const Part& part) const;
  DropoutMask mask(std::int64_t layer, const Part& part) const;
  void low_rank(const Mat& xa, const Mat& x, std::int64_t layer, const LoraGroup& g);
  void low_rank_backward(const Mat& dx, const Mat& dxa, const Mat& x, std::int64_t layer,
                         const LoraGroup& g, bool to_input);
  Ops& ops_;
  const LoraLayout& lora_;
  Weights& weights_;
  Mat parameters_, gradient_;
  Mat factors_view_;  // the parameters in the weights' type, as of the last refresh
  const std::uint64_t* dropout_keys_ = nullptr;
  // A factor of products with the weights: m itself where its type is theirs, else a rounded copy.
  Mat factor(const Mat& m, Buffer& copy);
  Buffer dinput_, dropped_;    // (T, widest group input), (T, widest in)
  Buffer factors_, dy_, dxa_;  // in bf16 where the weights are: parameters; (T, widest dy in fp32);
                               // (T, widest rank)
};
}  // namespace kairo::gpu
