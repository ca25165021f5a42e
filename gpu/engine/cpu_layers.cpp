// gpu/engine/cpu_layers.cpp - a Llama layer by hand: five kinds of kernels and one product per
// group.
#include "gpu/engine/cpu_layers.h"

#include <algorithm>
#include <cstring>

#include "gpu/engine/torch_cpu.h"
#include "gpu/kernels/dropout.h"
#include "gpu/kernels/rmsnorm.h"
#include "gpu/kernels/rope.h"
#include "gpu/kernels/swiglu.h"

namespace kairo::gpu {
namespace {
std::int64_t stride_of(const LoraLayout& lora, Group g) {
  return lora.groups[0][index_of(g)].stride;
}
std::int64_t widest(const LoraLayout& lora) {
  std::int64_t n = 0;
  for (const Group g : all_groups) n = std::max(n, stride_of(lora, g));
  return n;
}
}  // namespace

struct CpuLayers::Step {
  std::int64_t T, layer;
  Group group;
  std::span<const float> parameters;
  const std::uint64_t* dropout_keys;  // null: none
  DropoutMask mask(const LoraLayout& lora, Module m) const {
    const auto modules = static_cast<std::int64_t>(all_modules.size());
    return {dropout_keys, layer * modules + static_cast<std::int64_t>(index_of(m)), lora.dropout};
  }
};

CpuLayers::CpuLayers(const ModelConfig& config, const LoraLayout& lora, CpuWeights& weights,
                     std::int64_t tokens_max, std::int64_t longest, int threads)
    : config_(config),
      lora_(lora),
      weights_(weights),
      rope_(make_rope_table(config.rope, config.head_dim, longest)),
      attention_({config.heads, config.kv_heads, config.head_dim, stride_of(lora, Group::o)},
                 longest, threads),
      tokens_max_(tokens_max),
      dinput_(tokens_max * widest(lora)),
      dqkv_(tokens_max * shape_of(config, Group::qkv).out),
      dropped_(lora.dropout > 0 ? tokens_max * widest_in(lora) : 0) {}

LayerActivations CpuLayers::allocate() const {
  LayerActivations a;
  for (const Group g : all_groups) a.input[index_of(g)] = Buffer(tokens_max_ * stride_of(lora_, g));
  a.qkv = Buffer(tokens_max_ * shape_of(config_, Group::qkv).out);
  a.middle = Buffer(tokens_max_ * config_.hidden);
  a.gate_up = Buffer(tokens_max_ * shape_of(config_, Group::gate_up).out);
  a.inverse_input = Buffer(tokens_max_);
  a.inverse_middle = Buffer(tokens_max_);
  return a;
}

// input holds x in its first columns; the low-rank product goes beside it, then one product does
// base and adapter: y = [x | x A^T] [W | scale B]^T + beta y.
void CpuLayers::multiply(float* y, std::int64_t ld_y, Buffer& input, const Step& s, float beta) {
  const LoraGroup& g = lora_.groups[static_cast<std::size_t>(s.layer)][index_of(s.group)];
  const GroupMatrix m = weights_.group(s.layer, s.group, lora_, s.parameters);
  float* x = input.data();
  if (s.dropout_keys != nullptr)
    multiply_dropped(input, s);
  else
    gemm({false, true, s.T, g.rank_total, g.in, x, m.ld, s.parameters.data() + g.a_offset, g.in,
          x + g.in, m.ld});
  gemm({false, true, s.T, g.out, g.in + g.rank_total, x, m.ld, m.w, m.ld, y, ld_y, 1.0f, beta});
}

// x A^T of each part with the x that its mask leaves.
void CpuLayers::multiply_dropped(Buffer& input, const Step& s) {
  const LoraGroup& g = lora_.groups[static_cast<std::size_t>(s.layer)][index_of(s.group)];
  float* x = input.data();
  for (const auto& part : g.parts) {
    dropout_cpu(dropped_.data(), g.in, x, g.stride, s.mask(lora_, part.module), s.T, g.in);
    gemm({false, true, s.T, lora_.rank, g.in, dropped_.data(), g.in,
          s.parameters.data() + g.a_offset + part.rank_begin * g.in, g.in,
          x + g.in + part.rank_begin, g.stride});
  }
}

// The masks are made again: dA = d(x A^T)^T of what they leave, dx += what they leave of d(x A^T)
// A.
void CpuLayers::multiply_dropped_backward(const Buffer& input, const Step& s,
                                          std::span<float> gradient, bool to_input) {
  const LoraGroup& g = lora_.groups[static_cast<std::size_t>(s.layer)][index_of(s.group)];
  for (const auto& part : g.parts) {
    const DropoutMask mask = s.mask(lora_, part.module);
    const std::int64_t a = g.a_offset + part.rank_begin * g.in;
    const float* dxa = dinput_.data() + g.in + part.rank_begin;
    dropout_cpu(dropped_.data(), g.in, input.data(), g.stride, mask, s.T, g.in);
    gemm({true, false, lora_.rank, g.in, s.T, dxa, g.stride, dropped_.data(), g.in,
          gradient.data() + a, g.in, 1.0f, 1.0f});
    if (!to_input) continue;
    gemm({false, false, s.T, g.in, lora_.rank, dxa, g.stride, s.parameters.data() + a, g.in,
          dropped_.data(), g.in});
    dropout_add_cpu(dinput_.data(), g.stride, dropped_.data(), g.in, mask, s.T, g.in);
  }
}

// [dx | d(x A^T)] = dy [W | scale B];  dA = d(x A^T)^T x;  dB = scale dy^T (x A^T);
// dx += d(x A^T) A. dx stays in dinput_, with the group's stride.
bool CpuLayers::multiply_backward(const float* dy, const Buffer& input, const Step& s,
                                  std::span<float> gradient) {
  const LoraGroup& g = lora_.groups[static_cast<std::size_t>(s.layer)][index_of(s.group)];
  const GroupMatrix m = weights_.group(s.layer, s.group, lora_, s.parameters);
  const bool lowest = s.layer == lora_.lowest_layer && s.group == lora_.lowest_group;
  const std::int64_t ld = g.stride, skip = lowest ? g.in : 0;  // the lowest needs only d(x A^T)
  const float *x = input.data(), *xa = x + g.in;
  float *dx = dinput_.data(), *dxa = dx + g.in;
  gemm({false, false, s.T, g.in + g.rank_total - skip, g.out, dy, g.out, m.w + skip, m.ld,
        dx + skip, ld});
  if (g.rank_total == 0) return true;
  const auto scale = static_cast<float>(lora_.scale);
  for (const auto& part : g.parts)
    gemm({true, false, part.out, lora_.rank, s.T, dy + part.out_begin, g.out, xa + part.rank_begin,
          ld, gradient.data() + part.b_offset, lora_.rank, scale, 1.0f});
  if (s.dropout_keys != nullptr) {
    multiply_dropped_backward(input, s, gradient, !lowest);
    return !lowest;
  }
  float* da = gradient.data() + g.a_offset;
  gemm({true, false, g.rank_total, g.in, s.T, dxa, ld, x, ld, da, g.in, 1.0f, 1.0f});
  if (lowest) return false;
  const float* a = s.parameters.data() + g.a_offset;
  gemm({false, false, s.T, g.in, g.rank_total, dxa, ld, a, g.in, dx, ld, 1.0f, 1.0f});
  return true;
}

void CpuLayers::forward(float* out, LayerActivations& kept, const float* x, std::int64_t layer,
                        const CpuBatch& batch, std::span<const float> parameters) {
  const auto& c = config_;
  const std::int64_t T = batch.T(), columns = shape_of(c, Group::qkv).out;
  const auto* keys = batch.dropout_keys.empty() ? nullptr : batch.dropout_keys.data();
  const auto step = [&](Group g) { return Step{T, layer, g, parameters, keys}; };
  auto& [qkv_in, o_in, gate_up_in, down_in] = kept.input;
  const auto bytes = static_cast<std::size_t>(T * c.hidden) * sizeof(float);

  rmsnorm_cpu(qkv_in.data(), stride_of(lora_, Group::qkv), kept.inverse_input.data(), x,
              weights_.norm(2 * layer), T, c.hidden, c.norm_eps);
  multiply(kept.qkv.data(), columns, qkv_in, step(Group::qkv), 0.0f);
  rope_cpu(kept.qkv.data(), rope_.cos.data(), rope_.sin.data(), batch.positions.data(),
           {T, c.heads + c.kv_heads, c.head_dim, columns}, false);
  attention_.forward(o_in.data(), kept.qkv.data(), batch);
  std::memcpy(kept.middle.data(), x, bytes);
  multiply(kept.middle.data(), c.hidden, o_in, step(Group::o), 1.0f);

  rmsnorm_cpu(gate_up_in.data(), stride_of(lora_, Group::gate_up), kept.inverse_middle.data(),
              kept.middle.data(), weights_.norm(2 * layer + 1), T, c.hidden, c.norm_eps);
  multiply(kept.gate_up.data(), 2 * c.intermediate, gate_up_in, step(Group::gate_up), 0.0f);
  swiglu_cpu(down_in.data(), stride_of(lora_, Group::down), kept.gate_up.data(), T, c.intermediate);
  std::memcpy(out, kept.middle.data(), bytes);
  multiply(out, c.hidden, down_in, step(Group::down), 1.0f);
}

void CpuLayers::backward(float* dx, LayerActivations& kept, const float* x, std::int64_t layer,
                         const CpuBatch& batch, std::span<const float> parameters,
                         std::span<float> gradient) {
  const auto& c = config_;
  const std::int64_t T = batch.T(), columns = shape_of(c, Group::qkv).out;
  const auto* keys = batch.dropout_keys.empty() ? nullptr : batch.dropout_keys.data();
  const auto step = [&](Group g) { return Step{T, layer, g, parameters, keys}; };
  auto& [qkv_in, o_in, gate_up_in, down_in] = kept.input;

  if (!multiply_backward(dx, down_in, step(Group::down), gradient)) return;
  swiglu_backward_cpu(kept.gate_up.data(), dinput_.data(), stride_of(lora_, Group::down), T,
                      c.intermediate);
  if (!multiply_backward(kept.gate_up.data(), gate_up_in, step(Group::gate_up), gradient)) return;
  rmsnorm_backward_cpu(dx, dinput_.data(), stride_of(lora_, Group::gate_up), kept.middle.data(),
                       kept.inverse_middle.data(), weights_.norm(2 * layer + 1), T, c.hidden);

  if (!multiply_backward(dx, o_in, step(Group::o), gradient)) return;
  attention_.backward(dqkv_.data(), dinput_.data(), stride_of(lora_, Group::o), o_in.data(),
                      kept.qkv.data(), batch);
  rope_cpu(dqkv_.data(), rope_.cos.data(), rope_.sin.data(), batch.positions.data(),
           {T, c.heads + c.kv_heads, c.head_dim, columns}, true);
  if (!multiply_backward(dqkv_.data(), qkv_in, step(Group::qkv), gradient)) return;
  rmsnorm_backward_cpu(dx, dinput_.data(), stride_of(lora_, Group::qkv), x,
                       kept.inverse_input.data(), weights_.norm(2 * layer), T, c.hidden);
}
}  // namespace kairo::gpu
