// gpu/engine/cpu_weights.cpp - loading, quantising and placing the adapter's columns.
#include "gpu/engine/cpu_weights.h"

#include <algorithm>

#include "gpu/engine/torch_cpu.h"

namespace kairo::gpu {
namespace {
Status read(const TensorFolder& folder, const std::string& name, std::int64_t rows,
            std::int64_t cols, std::span<float> out) {
  const std::array<std::int64_t, 2> matrix = {rows, cols};
  const auto shape = std::span<const std::int64_t>(matrix);
  return folder.read(name, cols == 0 ? shape.first(1) : shape, out);
}
// Writes scale * B into the columns behind the base weights; clears the padding.
void place_adapter(float* w, const LoraGroup& g, const LoraLayout& lora, const float* parameters) {
  const std::int64_t ld = g.stride, r = lora.rank;
  const auto scale = static_cast<float>(lora.scale);
  if (g.rank_total == 0 && ld == g.in) return;
  for (std::int64_t o = 0; o < g.out; ++o) std::fill(w + o * ld + g.in, w + (o + 1) * ld, 0.0f);
  for (const auto& part : g.parts)
    for (std::int64_t o = 0; o < part.out; ++o) {
      const float* b = parameters + part.b_offset + o * r;
      float* row = w + (part.out_begin + o) * ld + g.in + part.rank_begin;
      for (std::int64_t i = 0; i < r; ++i) row[i] = scale * b[i];
    }
}
}  // namespace

const float* CpuWeights::norm(std::int64_t index) const {
  return norms_.data() + index * hidden_;
}

Status CpuWeights::load_group(const TensorFolder& folder, const ModelConfig& config,
                              std::int64_t layer, Group g, const LoraGroup& lora, Method method) {
  const std::int64_t ld = lora.stride;
  auto& matrix = matrices_[static_cast<std::size_t>(layer)][index_of(g)];
  if (cached_) matrix = Buffer(lora.out * ld);
  std::int64_t first = 0;
  for (const Module m : modules_of(g)) {
    const LinearShape s = shape_of(config, m);
    Buffer plain(s.out * s.in);
    TRY(read(folder, module_path(layer, m) + ".weight", s.out, s.in, plain.span()));
    if (method == Method::lora) {
      for (std::int64_t o = 0; o < s.out; ++o)
        std::copy_n(plain.data() + o * s.in, s.in, matrix.data() + (first + o) * ld);
    } else {
      const std::int64_t n = s.out * s.in;
      auto& q = quantised_[static_cast<std::size_t>(layer)][index_of(m)];
      std::vector<float> absmax(static_cast<std::size_t>(nf4_blocks(n)));
      q.packed.resize(static_cast<std::size_t>(nf4_bytes(n)));
      q.scales.resize(absmax.size());
      q.group_scales.resize(static_cast<std::size_t>(nf4_groups(n)));
      nf4_quantize_cpu(q.packed.data(), absmax.data(), plain.data(), n);
      q.offset = mean(absmax);
      nf4_quantize_scales_cpu(q.scales.data(), q.group_scales.data(), absmax.data(), q.offset,
                              nf4_blocks(n));
      if (cached_) nf4_dequantize_cpu(matrix.data() + first * ld, ld, q.view(), s.out, s.in);
    }
    first += s.out;
  }
  return ok();
}

Result<CpuWeights> CpuWeights::load(const TensorFolder& folder, const ModelConfig& config,
                                    const LoraLayout& lora, const MemoryPlan& plan,
                                    const EngineOptions& options) {
  const Method method = options.method;
  CpuWeights w;
  const auto layers = static_cast<std::size_t>(config.layers);
  w.tied_ = config.tied_head;
  w.cached_ = method == Method::lora || plan.dequantised_cache;
  w.hidden_ = config.hidden;
  w.embedding_ = Buffer(config.vocab * config.hidden);
  TRY(read(folder, embedding_name, config.vocab, config.hidden, w.embedding_.span()));
  if (!w.tied_) {
    w.head_ = Buffer(config.vocab * config.hidden);
    TRY(read(folder, head_name, config.vocab, config.hidden, w.head_.span()));
  }
  w.norms_ = Buffer((2 * config.layers + 1) * config.hidden);
  w.matrices_.resize(layers);
  if (method == Method::qlora) w.quantised_.resize(layers);
  const auto norm_at = [&](std::int64_t i) {
    return w.norms_.span().subspan(static_cast<std::size_t>(i * config.hidden),
                                   static_cast<std::size_t>(config.hidden));
  };
  std::int64_t largest = 0;
  for (std::int64_t l = 0; l < config.layers; ++l) {
    if (options.should_stop && options.should_stop())
      return Error{Code::conflict, "asked to stop while the model was being loaded"};
    TRY(read(folder, input_norm_name(l), config.hidden, 0, norm_at(2 * l)));
    TRY(read(folder, post_attention_norm_name(l), config.hidden, 0, norm_at(2 * l + 1)));
    for (const Group g : all_groups) {
      const auto& group = lora.groups[static_cast<std::size_t>(l)][index_of(g)];
      TRY(w.load_group(folder, config, l, g, group, method));
      largest = std::max(largest, group.out * group.stride);
    }
  }
  TRY(read(folder, final_norm_name, config.hidden, 0, norm_at(2 * config.layers)));
  if (!w.cached_) w.scratch_ = Buffer(largest);
  return w;
}

void CpuWeights::refresh(const LoraLayout& lora, std::span<const float> parameters) {
  if (!cached_) return;  // scratch matrices take B at every use
  const auto layers = static_cast<std::int64_t>(matrices_.size());
#pragma omp parallel for schedule(static)
  for (std::int64_t l = 0; l < layers; ++l)
    for (const Group g : all_groups) {
      const auto layer = static_cast<std::size_t>(l);
      place_adapter(matrices_[layer][index_of(g)].data(), lora.groups[layer][index_of(g)], lora,
                    parameters.data());
    }
}

GroupMatrix CpuWeights::group(std::int64_t layer, Group g, const LoraLayout& lora,
                              std::span<const float> parameters) {
  const auto l = static_cast<std::size_t>(layer);
  const LoraGroup& shape = lora.groups[l][index_of(g)];
  const std::int64_t ld = shape.stride;
  const GroupMatrix result{cached_ ? matrices_[l][index_of(g)].data() : scratch_.data(), shape.out,
                           shape.in, shape.rank_total, ld};
  if (cached_) return result;
  std::int64_t first = 0;
  for (const Module m : modules_of(g)) {
    const auto& q = quantised_[l][index_of(m)];
    const std::int64_t n = static_cast<std::int64_t>(q.packed.size()) * 2;
    const std::int64_t rows = n / shape.in;
    nf4_dequantize_cpu(scratch_.data() + first * ld, ld, q.view(), rows, shape.in);
    first += rows;
  }
  place_adapter(scratch_.data(), shape, lora, parameters.data());
  return result;
}
}  // namespace kairo::gpu
