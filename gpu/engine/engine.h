// gpu/engine/engine.h - THE WALL: a base model with trainable LoRA adapters. No torch type crosses
// it. A backend implements Engine; trainer.h drives it; nothing above knows which backend it is.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gpu/engine/device.h"
#include "gpu/engine/mat.h"
#include "gpu/engine/products.h"
#include "gpu/engine/ranks.h"
#include "gpu/engine/state_copy.h"
#include "gpu/formats/adapter.h"
#include "gpu/formats/checkpoint.h"
#include "gpu/formats/model_config.h"
#include "gpu/model/lora_layout.h"
#include "gpu/plan/memory_plan.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
struct EngineOptions {
  std::string model_dir;  // config.json + *.safetensors, HF layout
  Method method = Method::lora;
  Type type = Type::f32;  // bf16: as far as the CPU multiplies such matrices faster (products.h)
  std::optional<Products> products;  // of type bf16, for trials: these, whatever is faster
  std::int64_t rank = 8;
  double alpha = 8;
  bool use_rslora = false;
  double dropout = 0;  // of the adapters' inputs in training, in [0, 1); its masks follow seed
  LoraTargets targets;
  LoraInit init = LoraInit::uniform;
  std::uint64_t seed = 0;                             // of the initial adapter
  std::int64_t tokens_per_step = 0, longest_row = 0;  // the data's extremes, for the memory plan
  bool keeps_best = false;                            // the trainer keeps another copy
  std::int64_t data_bytes = 0;                        // of the rows, for the memory plan, too
  DevicePtr device;                   // that computes; null: the CPU. It multiplies as `type` says
  RanksPtr ranks;                     // who trains the same adapter; null: nobody else
  int threads = 0;                    // 0 = usable cores; of ranks on a CPU each has its share
  std::int64_t budget_bytes = 0;      // 0 = what the machine has free
  ComputeShape as_before;             // of the checkpoint that will be restored; kept if it fits
  PlanLimits limits;                  // of the same checkpoint
  std::function<bool()> should_stop;  // asked between layers while loading; may be empty
};
// One sequence: trained[i] != 0 means that token i is a target. Equally long.
struct TrainRow {
  std::span<const std::int32_t> tokens;
  std::span<const std::uint8_t> trained;
};
struct Update {
  double learning_rate = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  double gradient_norm_max = 0;  // 0 = no clipping
};
class Engine {  // one thread at a time; the same calls give the same bytes
 public:
  // not_found, invalid, corrupt: the model's files. unavailable: not enough memory.
  // conflict: should_stop said so.
  static Result<std::unique_ptr<Engine>> load(const EngineOptions& options);
  virtual ~Engine() = default;
  // Adds the gradient of (sum over the rows' targets of -log p) / targets_in_step to the adapter's
  // gradient; returns that sum of -log p. Rows run as few padding-free batches as memory allows.
  // step: optimizer steps finished; the masks of dropout follow it and the places in rows, which
  // are all of the step. Of several ranks each computes its share; the sum is of all. invalid: a
  // token outside the vocabulary, a row longer than the plan or the model allows.
  virtual Result<double> accumulate(std::span<const TrainRow> rows, std::int64_t targets_in_step,
                                    std::int64_t step) = 0;
  // The sum over the rows' targets of -log p: forward only, as a user of the adapter sees it;
  // gradient and parameters stay. Errors as accumulate.
  virtual Result<double> evaluate(std::span<const TrainRow> rows) = 0;
  // One AdamW step (step counts from 1) and zeroed gradients. Returns the norm before clipping.
  virtual double update(const Update& settings, std::int64_t step) = 0;
  // After accumulate or evaluate has thrown DeviceFailure for want of memory, which is why: the
  // gradient is zero, and the plan one step smaller, so that the same can be asked again.
  // DeviceFailure: there is no smaller plan; with the figures.
  virtual void step_down(const std::string& why) { throw DeviceFailure(true, why); }
  // What too little memory has changed last, for people; "": nothing.
  virtual std::string memory_note() const { return {}; }
  // Flat buffers in the order of layout(). Valid until the next update or restore.
  virtual CheckpointBuffers state() const = 0;
  // The same as it is now, on its way beside the steps that follow. One copy at a time: the one
  // before has been waited for, and is not read any more.
  virtual StateCopyPtr copy_state() { return copy_of(state()); }
  virtual std::span<const float> gradient() const = 0;
  // invalid: another size. Replaces parameters and moments, zeroes the gradient.
  virtual Status restore(const CheckpointBuffers& state) = 0;
  virtual const ModelConfig& config() const = 0;
  virtual const LoraLayout& layout() const = 0;
  virtual const MemoryPlan& plan() const = 0;
  virtual PlanLimits limits() const { return {}; }  // set by step_down
  virtual const ProductChoice& products() const = 0;
  virtual ComputeShape shape() const = 0;  // all that the last bits depend on beside the input
};
}  // namespace kairo::gpu
