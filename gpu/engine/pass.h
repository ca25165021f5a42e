// gpu/engine/pass.h - one batch through all layers, forward and back, in the memory that a plan
// gives it. An engine whose plan changes makes another one.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "gpu/engine/batch.h"
#include "gpu/engine/layer.h"
#include "gpu/engine/loss_head.h"
#include "gpu/engine/ops.h"
#include "gpu/engine/weights.h"
#include "gpu/formats/model_config.h"
#include "gpu/model/lora_layout.h"
#include "gpu/plan/memory_plan.h"

namespace kairo::gpu {
class Pass {  // one caller at a time; all references must outlive it
 public:
  // longest: rows of the longest segment that will come. DeviceFailure: too little memory.
  Pass(Ops& ops, const ModelConfig& config, const LoraLayout& lora, Weights& weights,
       const MemoryPlan& plan, std::int64_t longest);
  // Flat, in the layout's order: what batches are computed with and add to. After each change of
  // the parameters.
  void take_over(const Mat& parameters, const Mat& gradient);
  void forward(const TrainBatch& batch);
  // The same; adds the gradient of scale times the sum of -log p over the batch's targets.
  void forward_backward(const TrainBatch& batch, float scale);
  // Those sums of all batches since the last time; no other call waits for the device.
  double take_loss() { return head_.take_loss(); }
  const Layers& layers() const { return layers_; }

 private:
  const LayerActivations& activations_of(std::int64_t layer) const;
  Mat x(std::int64_t layer, const TrainBatch& batch) const;
  struct Begun {  // what the layers and the head read of a batch, on the device
    const std::int32_t* tokens;
    Ragged rows;
    LossHead::Placed head;
  };
  Begun begin(const TrainBatch& batch);
  void forward(const TrainBatch& batch, const Begun& begun);
  void forward(const TrainBatch& batch, const Ragged& rows, std::int64_t layer);
  Ops& ops_;
  const ModelConfig& config_;
  const LoraLayout& lora_;
  std::int64_t kept_layers_;
  Mat parameters_, gradient_;
  LoraLinears linears_;
  Layers layers_;
  LossHead head_;
  Buffer dx_;
  std::vector<Buffer> inputs_;  // of layer l; the last is the output of all
  std::vector<LayerActivations> activations_;
};
}  // namespace kairo::gpu
