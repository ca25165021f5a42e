// gpu/plan/memory_plan.h - decides before the first step what fits in memory (pure).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gpu/formats/checkpoint.h"
#include "gpu/formats/model_config.h"
#include "gpu/model/lora_layout.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
enum class Method : std::uint8_t { lora, qlora };  // base weights as they compute, or in NF4

struct MemoryRequest {
  Method method = Method::lora;
  std::int64_t tokens_per_step = 0;  // the largest step's input tokens
  std::int64_t longest_row = 0;      // input tokens of the longest row
  int threads = 1;
  std::int64_t budget_bytes = 0;  // all that the process may use
  ComputeShape as_before;         // of the attempt that is gone on from: kept if it fits
  bool keeps_best = false;        // parameters of the best step stay beside those of the last
  std::int64_t data_bytes = 0;    // of the rows, which stay
  bool in_bf16 = false;           // weights and other factors of products; else all is fp32
  bool on_device = false;   // the budget is a device's own memory: what the host keeps is free
  PlanLimits limits = {};   // of the attempt that is gone on from: kept
  std::int64_t ranks = 1;   // that sum their gradients
  bool by_kernels = false;  // kairo's kernels compute all but products; else libtorch's operators
  bool by_flash = false;    // attention in bf16 by libtorch's flash kernels, where they take it
};
struct MemoryPlan {
  enum class Part : std::uint8_t { program, weights, adapter, activations };
  struct Item {
    std::string what;
    std::int64_t bytes;
    Part part;
  };
  std::int64_t cached_layers = 0;      // QLoRA: whose NF4 weights stay as they compute, too
  std::int64_t microbatch_tokens = 0;  // tokens that run together
  std::int64_t kept_layers = 0;        // layers whose activations stay; the others are recomputed
  std::int64_t head_rows = 0;          // rows of logits at a time
  int threads = 1;
  std::int64_t budget_bytes = 0;
  std::vector<Item> items;  // what adds up to the peak
  std::int64_t peak_bytes() const;
  std::int64_t bytes_of(Part part) const;
  ComputeShape shape() const { return {microbatch_tokens, head_rows, threads, {}, {}, {}, 1}; }
  std::string text() const;  // for people: the decision and its items, one line each
};
// The plan that costs a token the least time of those that fit. unavailable: even the smallest does
// not; what names the largest item and the remedy.
Result<MemoryPlan> plan_memory(const ModelConfig& config, const LoraLayout& lora,
                               const MemoryRequest& request);
// What plan_memory comes to when memory is scarcest; its budget is the request's, fit or not.
MemoryPlan smallest_plan(const ModelConfig& config, const LoraLayout& lora,
                         const MemoryRequest& request);
// The next one where a device turned out to have too little memory for a plan: nothing of it is
// larger, and it needs a quarter less of what can be given up. None: it is the smallest.
std::optional<MemoryPlan> smaller_plan(const ModelConfig& config, const LoraLayout& lora,
                                       const MemoryRequest& request, const MemoryPlan& plan);
// For people: "4096 tokens at a time instead of 8192, 20 layers kept instead of 32"; "peak 900 MiB
// of 1024".
std::string change_of(const MemoryPlan& before, const MemoryPlan& now);
std::string needs_of(const MemoryPlan& plan);
}  // namespace kairo::gpu
