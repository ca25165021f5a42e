// gpu/plan/memory_plan.cpp - sizes of every buffer that the engine allocates, and the choice.
#include "gpu/plan/memory_plan.h"

#include <algorithm>
#include <array>

#include "gpu/kernels/nf4.h"
#include "gpu/plan/attention_rows.h"
#include "gpu/plan/buffer_bytes.h"
#include "gpu/plan/losses_kept.h"

namespace kairo::gpu {
namespace {
constexpr std::int64_t f32 = 4;
// libtorch's code, relocations and tables, and what reading the data leaves: measured with
// SmolLM2's tokenizer.
constexpr std::int64_t process_bytes = 176 << 20;
constexpr std::int64_t head_rows_max = 256, head_rows_min = 16;
constexpr std::int64_t microbatch_max = 2048;  // larger products are not faster, only larger
// Of a device. Not measured yet: what its libraries take, and how full their allocator's blocks
// are.
constexpr std::int64_t device_process_bytes = 512 << 20, device_slack = 32;  // 1 / 32 of the rest
constexpr std::int64_t device_microbatch_max = 8192, device_head_rows_max = 1024;

std::int64_t linear_weights(const ModelConfig& c) {
  std::int64_t n = 0;
  for (const Group g : all_groups) n += shape_of(c, g).out * shape_of(c, g).in;
  return n * c.layers;
}
// So many values in the type of compute.
std::int64_t factor_bytes(std::int64_t values, bool in_bf16) {
  return buffer_bytes(in_bf16 ? (values + 1) / 2 : values);
}
// Weights of the last so many layers, with the columns of the low-rank product.
std::int64_t augmented_bytes(const LoraLayout& lora, std::int64_t layers, bool in_bf16) {
  std::int64_t n = 0;
  for (std::size_t l = lora.groups.size() - static_cast<std::size_t>(layers);
       l < lora.groups.size(); ++l)
    for (const auto& g : lora.groups[l]) n += factor_bytes(g.out * g.stride, in_bf16);
  return n;
}
std::int64_t largest_group_bytes(const LoraLayout& lora, bool in_bf16) {
  std::int64_t n = 0;
  for (const auto& layer : lora.groups)
    for (const auto& g : layer) n = std::max(n, factor_bytes(g.out * g.stride, in_bf16));
  return n;
}
// What is kept of a layer for T tokens.
std::int64_t layer_bytes(const ModelConfig& c, const std::array<LoraGroup, 4>& groups,
                         std::int64_t T, bool in_bf16) {
  std::int64_t bytes = factor_bytes(T * shape_of(c, Group::qkv).out, in_bf16) +
                       factor_bytes(T * shape_of(c, Group::gate_up).out, in_bf16) +
                       buffer_bytes(T * c.hidden) + 2 * buffer_bytes(T);
  const bool has_norms_after = c.has_norm(NormAt::after_attention);
  if (c.has_branch()) bytes += (has_norms_after ? 2 : 1) * buffer_bytes(T * c.hidden);
  if (has_norms_after) bytes += 2 * buffer_bytes(T);
  if (c.qk_norm != QkNorm::none)
    bytes += buffer_bytes(T * (c.heads + c.kv_heads) * c.head_dim) + buffer_bytes(T * c.heads) +
             buffer_bytes(T * c.kv_heads);
  return bytes + factor_bytes(T * groups[index_of(Group::o)].stride, in_bf16);
}
// Inputs of groups that are made again, once for all layers.
std::int64_t shared_bytes(const std::array<LoraGroup, 4>& groups, std::int64_t T, bool in_bf16) {
  std::int64_t bytes = 0;
  for (const Group g : {Group::qkv, Group::gate_up, Group::down})
    bytes += factor_bytes(T * groups[index_of(g)].stride, in_bf16);
  return bytes;
}
// What bf16 costs beside fp32: products' sums before they are rounded, rounded factors.
std::int64_t rounding_bytes(const ModelConfig& c, const LoraLayout& lora, std::int64_t T,
                            std::int64_t head_rows) {
  const std::int64_t qkv = shape_of(c, Group::qkv).out, gate_up = shape_of(c, Group::gate_up).out,
                     sums = std::max(qkv, gate_up);
  std::int64_t rank = 0;
  for (const auto& layer : lora.groups)
    for (const auto& g : layer) rank = std::max(rank, g.rank_total);
  const std::int64_t rounded =  // oneDNN's results
      std::max({T * std::max(sums, lora.groups[0][index_of(Group::down)].stride),
                head_rows * c.vocab, c.hidden * c.intermediate / 64});
  // Gates other than SwiGLU are computed of widened values.
  const std::int64_t wide = c.activation == Activation::swiglu
                                ? 0
                                : buffer_bytes(T * gate_up) + buffer_bytes(T * c.intermediate);
  return wide + buffer_bytes(T * sums) + factor_bytes(T * std::max(c.hidden, qkv), true) +
         factor_bytes(T * rank, true) + buffer_bytes(T * rank) + factor_bytes(rounded, true);
}
std::int64_t widest_columns(const LoraLayout& lora) {
  std::int64_t n = 0;
  for (const auto& layer : lora.groups)
    for (const auto& g : layer) n = std::max(n, g.stride);
  return n;
}
// The same on a device, whose own temporaries are operator_bytes.
std::int64_t device_rounding_bytes(const ModelConfig& c, const LoraLayout& lora, std::int64_t T) {
  const std::int64_t qkv = shape_of(c, Group::qkv).out, gate_up = shape_of(c, Group::gate_up).out;
  std::int64_t rank = 0;
  for (const auto& layer : lora.groups)
    for (const auto& g : layer) rank = std::max(rank, g.rank_total);
  return buffer_bytes(T * std::max(qkv, gate_up)) +
         factor_bytes(T * std::max(c.hidden, qkv), true) + factor_bytes(T * rank, true);
}
// As gpu/aten/flash_ops.cpp.
bool takes_flash(const ModelConfig& c, const MemoryRequest& r) {
  return r.by_flash && r.in_bf16 && !c.interleaved && c.attention_cap == 0 && c.head_dim % 8 == 0 &&
         c.head_dim <= 256;
}
// Of a bag of T tokens whose rows are half as long as the longest, on an average.
std::int64_t flash_bytes(const ModelConfig& c, const MemoryRequest& r, std::int64_t T) {
  const std::int64_t segments = 1 + 2 * T / std::max<std::int64_t>(1, r.longest_row);
  return flash_to_train(T, segments, c.heads, c.kv_heads, c.head_dim);
}
// What gpu/aten/ takes for a while within one call: the largest of its calls.
std::int64_t operator_bytes(const ModelConfig& c, const LoraLayout& lora, const MemoryRequest& r,
                            const MemoryPlan& plan) {
  const std::int64_t T = plan.microbatch_tokens, longest = r.longest_row;
  if (r.by_kernels)  // attention's scratch
    return buffer_bytes(2 * T * c.heads) + (takes_flash(c, r) ? flash_bytes(c, r, T) : 0);
  constexpr std::int64_t query_rows = 128,
                         piece = 1 << 24;  // as attention.cpp, parts.cpp have them
  const std::int64_t attention =  // scores, probabilities, their gradients, slopes; widened rows
      5 * c.heads * query_rows * longest +
      c.head_dim * (2 * c.kv_heads * longest + 4 * c.heads * query_rows);
  const std::int64_t gate = 5 * T * c.intermediate, rows = 4 * T * c.hidden;
  const std::int64_t loss = 3 * std::min(plan.head_rows * c.vocab, piece);
  // Four masks in the making, of 64 bits a value.
  const std::int64_t dropout = lora.dropout > 0 ? 9 * std::min(T * widest_in(lora), piece / 4) : 0;
  std::int64_t largest = 0;
  for (const Module m : modules_of(c))
    largest = std::max(largest, shape_of(c, m).out * shape_of(c, m).in);
  const std::int64_t decoded =  // a module's matrix once more, and look-ups of a piece of it
      plan.cached_layers < c.layers && r.method == Method::qlora
          ? factor_bytes(largest, r.in_bf16) + 13 * std::min(largest, piece)
          : 0;
  return std::max(f32 * std::max({attention, gate, rows, loss, dropout}), decoded);
}
std::string mib(std::int64_t bytes) {
  return std::to_string((bytes + (1 << 19)) >> 20);
}
using Part = MemoryPlan::Part;
void add_items(MemoryPlan& plan, const ModelConfig& c, const LoraLayout& lora,
               const MemoryRequest& r) {
  const std::int64_t n = linear_weights(c), T = plan.microbatch_tokens;
  const std::int64_t tables = factor_bytes(c.vocab * c.hidden, r.in_bf16) * (c.tied_head ? 1 : 2);
  const std::string type = r.in_bf16 ? "bf16" : "fp32";
  std::int64_t one_layer = 0;
  for (const auto& groups : lora.groups)
    one_layer = std::max(one_layer, layer_bytes(c, groups, T, r.in_bf16));
  const std::int64_t shared = plan.kept_layers < c.layers ? 1 : 0;
  if (r.on_device)
    plan.items = {{"libraries on the device", device_process_bytes, Part::program}};
  else
    plan.items = {{"process", process_bytes, Part::program}, {"rows", r.data_bytes, Part::program}};
  plan.items.push_back({"embedding and head", tables, Part::weights});
  if (r.method == Method::qlora)
    plan.items.push_back(
        {"NF4 weights", nf4_bytes(n) + nf4_blocks(n) + nf4_groups(n) * f32, Part::weights});
  const std::int64_t whole = r.method == Method::lora ? c.layers : plan.cached_layers;
  if (whole > 0)
    plan.items.push_back({r.method == Method::lora ? type + " weights" : "dequantised weights",
                          augmented_bytes(lora, whole, r.in_bf16), Part::weights});
  if (whole < c.layers)
    plan.items.push_back(
        {"dequantised group", largest_group_bytes(lora, r.in_bf16), Part::weights});
  plan.items.push_back(
      {"LoRA parameters, gradients, moments",
       4 * buffer_bytes(lora.parameters) + (r.in_bf16 ? factor_bytes(lora.parameters, true) : 0),
       Part::adapter});
  if (r.ranks > 1)
    plan.items.push_back({"gradients of all ranks",
                          (r.on_device ? 1 : 2) * buffer_bytes(lora.parameters), Part::adapter});
  // The copy that a checkpoint is written from. A new best may come while the old is being written.
  if (!r.on_device)
    plan.items.push_back(
        {"checkpoint's copy", lora.parameters * (r.keeps_best ? 5 : 3) * f32, Part::adapter});
  plan.items.push_back(
      {"kept activations", (plan.kept_layers + shared) * one_layer, Part::activations});
  plan.items.push_back(
      {"activations made again", shared_bytes(lora.groups[0], T, r.in_bf16), Part::activations});
  plan.items.push_back(
      {"layer inputs", (c.layers + 1) * buffer_bytes(T * c.hidden), Part::activations});
  const std::int64_t flat = c.has_branch() || c.parallel ? 3 : 2;
  plan.items.push_back({"gradients in flight",
                        flat * buffer_bytes(T * c.hidden) + buffer_bytes(T * c.heads) +
                            buffer_bytes(T * shape_of(c, Group::qkv).out) +
                            buffer_bytes(T * widest_columns(lora)),
                        Part::activations});
  if (lora.dropout > 0)
    plan.items.push_back(
        {"inputs after dropout", buffer_bytes(T * widest_in(lora)), Part::activations});
  if (r.in_bf16)
    plan.items.push_back({"rounding to bf16",
                          r.on_device ? device_rounding_bytes(c, lora, T)
                                      : rounding_bytes(c, lora, T, plan.head_rows),
                          Part::activations});
  const std::int64_t scores =
      r.in_bf16 ? scores_to_train_bf16(r.longest_row, c.head_dim) : scores_to_train(r.longest_row);
  if (!r.on_device)
    plan.items.push_back(
        {"attention scores",
         buffer_bytes(scores * r.threads) +
             buffer_bytes(partial_gradients(r.threads, c.kv_heads, r.longest_row, c.head_dim)),
         Part::activations});
  plan.items.push_back({"logits",
                        buffer_bytes(plan.head_rows * c.vocab) +
                            4 * buffer_bytes(plan.head_rows * c.hidden) +
                            buffer_bytes(losses_kept(plan.head_rows)),
                        Part::activations});
  if (!r.on_device) return;
  plan.items.push_back({"operators' own", operator_bytes(c, lora, r, plan), Part::activations});
  plan.items.push_back({"allocator's slack", plan.peak_bytes() / device_slack, Part::program});
}
}  // namespace

std::int64_t MemoryPlan::peak_bytes() const {
  std::int64_t total = 0;
  for (const auto& item : items) total += item.bytes;
  return total;
}

std::int64_t MemoryPlan::bytes_of(Part part) const {
  std::int64_t total = 0;
  for (const auto& item : items) total += item.part == part ? item.bytes : 0;
  return total;
}

std::string MemoryPlan::text() const {
  std::string out = "memory plan: " + needs_of(*this) + "; " + std::to_string(microbatch_tokens) +
                    " tokens at a time, " + std::to_string(kept_layers) + " layers kept, " +
                    std::to_string(head_rows) + " rows of logits" +
                    (cached_layers > 0 ? ", NF4 weights of " + std::to_string(cached_layers) +
                                             " layers dequantised once"
                                       : "");
  for (const auto& item : items) out += "\n  " + item.what + ": " + mib(item.bytes) + " MiB";
  return out;
}

MemoryPlan smallest_plan(const ModelConfig& config, const LoraLayout& lora,
                         const MemoryRequest& request) {
  MemoryPlan plan;
  plan.budget_bytes = request.budget_bytes;
  plan.threads = request.threads;
  plan.head_rows =
      std::min<std::int64_t>(head_rows_min, std::max<std::int64_t>(1, request.tokens_per_step));
  plan.microbatch_tokens = request.longest_row;
  add_items(plan, config, lora, request);
  return plan;
}

namespace {
// Time of a token in shares of what its products need, forward and back. A layer that is recomputed
// runs forward twice, which is half as much again. What a bag costs however few tokens it has, in
// tokens: launches, factors that are read once for all rows; and with weights that are decoded at
// use, their decoding. Estimates: they choose between plans that all fit, and change no result.
constexpr double cpu_bag_tokens = 32, device_bag_tokens = 256, decode_tokens = 128;
double cost_of(const MemoryPlan& plan, const ModelConfig& c, const MemoryRequest& r) {
  const auto share = [&](std::int64_t layers) {
    return static_cast<double>(layers) / static_cast<double>(c.layers);
  };
  double bag = r.on_device ? device_bag_tokens : cpu_bag_tokens;
  if (r.method == Method::qlora) bag += decode_tokens * share(c.layers - plan.cached_layers);
  return (1 + share(c.layers - plan.kept_layers) / 2) *
         (1 + bag / static_cast<double>(plan.microbatch_tokens));
}
// The largest of [0, most] that fits, which all smaller ones do, too; -1: not even 0.
template <class Fits>
std::int64_t largest_that(std::int64_t most, const Fits& fits) {
  std::int64_t good = -1;
  for (std::int64_t bad = most + 1; bad - good > 1;) {
    const std::int64_t middle = good + (bad - good) / 2;
    (fits(middle) ? good : bad) = middle;
  }
  return good;
}
std::int64_t at_most(std::int64_t wish, std::int64_t limit) {
  return limit < 0 ? wish : std::min(wish, limit);
}
// The plan with so many tokens at a time, and as much kept and cached as fits; false: it does not.
bool fill(MemoryPlan& plan, std::int64_t tokens, const ModelConfig& config, const LoraLayout& lora,
          const MemoryRequest& request) {
  const auto fits = [&](std::int64_t kept, std::int64_t cached) {
    plan.microbatch_tokens = tokens;
    plan.kept_layers = kept;
    plan.cached_layers = cached;
    add_items(plan, config, lora, request);
    return plan.peak_bytes() <= plan.budget_bytes;
  };
  const std::int64_t backward = config.layers - lora.lowest_layer;  // below them nothing is kept
  const std::int64_t kept = largest_that(at_most(backward, request.limits.kept_layers),
                                         [&](std::int64_t n) { return fits(n, 0); });
  if (kept < 0) return false;
  const std::int64_t cacheable = request.method == Method::qlora ? config.layers : 0;
  const std::int64_t cached = largest_that(at_most(cacheable, request.limits.cached_layers),
                                           [&](std::int64_t n) { return fits(kept, n); });
  return fits(kept, cached);
}
// The cheapest of those with at most so many tokens at a time.
std::optional<MemoryPlan> cheapest(std::int64_t tokens_max, const MemoryPlan& start,
                                   const ModelConfig& config, const LoraLayout& lora,
                                   const MemoryRequest& request) {
  std::optional<MemoryPlan> best;
  for (std::int64_t tokens = tokens_max;; tokens = std::max(request.longest_row, tokens / 2)) {
    MemoryPlan plan = start;
    if (fill(plan, tokens, config, lora, request) &&
        (!best || cost_of(plan, config, request) < cost_of(*best, config, request)))
      best = std::move(plan);
    if (tokens == request.longest_row) return best;
  }
}
}  // namespace

Result<MemoryPlan> plan_memory(const ModelConfig& config, const LoraLayout& lora,
                               const MemoryRequest& request) {
  MemoryPlan plan;
  plan.budget_bytes = request.budget_bytes;
  plan.threads = request.threads;
  const ComputeShape& before = request.as_before;
  if (before.microbatch_tokens >= request.longest_row && before.head_rows > 0) {
    plan.head_rows = before.head_rows;
    if (fill(plan, before.microbatch_tokens, config, lora, request)) return plan;
  }
  const bool on_device = request.on_device;
  plan.head_rows = std::min<std::int64_t>(on_device ? device_head_rows_max : head_rows_max,
                                          std::max<std::int64_t>(1, request.tokens_per_step));
  const std::int64_t largest = std::max(
      request.longest_row,
      std::min(request.tokens_per_step, on_device ? device_microbatch_max : microbatch_max));
  if (auto best = cheapest(largest, plan, config, lora, request)) return std::move(*best);
  plan = smallest_plan(config, lora, request);
  if (plan.peak_bytes() <= plan.budget_bytes) return plan;
  const auto top = std::max_element(plan.items.begin(), plan.items.end(),
                                    [](auto& a, auto& b) { return a.bytes < b.bytes; });
  return Error{Code::unavailable, "memory: the smallest plan needs " +
                                      std::to_string(plan.peak_bytes() >> 20) + " MiB of " +
                                      std::to_string(plan.budget_bytes >> 20) + "; most for " +
                                      top->what + ": use a larger machine, shorter rows or qlora"};
}

std::optional<MemoryPlan> smaller_plan(const ModelConfig& config, const LoraLayout& lora,
                                       const MemoryRequest& request, const MemoryPlan& plan) {
  constexpr std::int64_t quarter = 4, least = 64;  // less than 1 / 64 is not worth another try
  MemoryPlan smallest = smallest_plan(config, lora, request);
  smallest.budget_bytes = plan.budget_bytes;
  const std::int64_t peak = plan.peak_bytes(), spare = peak - smallest.peak_bytes();
  if (spare <= 0) return std::nullopt;
  if (spare < (peak - plan.bytes_of(Part::program)) / least) return smallest;
  MemoryRequest smaller = request;
  smaller.limits = {plan.kept_layers, plan.cached_layers};
  MemoryPlan start;
  start.threads = plan.threads;
  start.head_rows = plan.head_rows;
  start.budget_bytes = peak - spare / quarter;
  auto next = cheapest(plan.microbatch_tokens, start, config, lora, smaller);
  if (!next) return smallest;
  next->budget_bytes = plan.budget_bytes;
  return next;
}

std::string change_of(const MemoryPlan& before, const MemoryPlan& now) {
  std::string out;
  const auto add = [&out](std::int64_t was, std::int64_t is, const std::string& what) {
    if (was == is) return;
    out += (out.empty() ? "" : ", ") + std::to_string(is) + what + " instead of " +
           std::to_string(was);
  };
  add(before.microbatch_tokens, now.microbatch_tokens, " tokens at a time");
  add(before.kept_layers, now.kept_layers, " layers kept");
  add(before.cached_layers, now.cached_layers, " layers of NF4 dequantised once");
  add(before.head_rows, now.head_rows, " rows of logits");
  return out;
}
std::string needs_of(const MemoryPlan& plan) {
  return "peak " + mib(plan.peak_bytes()) + " MiB of " + mib(plan.budget_bytes);
}
}  // namespace kairo::gpu
