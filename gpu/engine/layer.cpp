// gpu/engine/layer.cpp - the layer's data flow; every line is one call of the device.
#include "gpu/engine/layer.h"

#include <algorithm>

#include "gpu/model/rope_table.h"

namespace kairo::gpu {
namespace {
Buffer filled(Ops& ops, const std::vector<float>& values) {
  Buffer host(static_cast<std::int64_t>(values.size()));
  std::ranges::copy(values, host.data());
  return ops.adopt(std::move(host));
}
}  // namespace

LayerMats LayerMats::first(std::int64_t tokens) const {
  LayerMats m = *this;
  for (Mat* mat : {&m.input[0], &m.input[1], &m.input[2], &m.input[3], &m.qkv, &m.middle,
                   &m.gate_up, &m.inverse_input, &m.inverse_middle})
    mat->rows = tokens;
  return m;
}

Layers::Layers(Ops& ops, const ModelConfig& config, const Weights& weights, std::int64_t positions,
               std::int64_t backward_tokens)
    : ops_(ops),
      config_(config),
      weights_(weights),
      heads_{config.heads, config.kv_heads, config.head_dim},
      positions_(positions),
      dqkv_(ops.make(backward_tokens * heads_.columns())) {
  const RopeTable table = make_rope_table(config.rope, config.rotary_dim, positions);
  cos_ = filled(ops, table.cos);
  sin_ = filled(ops, table.sin);
  rope_ = {Mat::f32(cos_.data(), table.rows, table.half),
           Mat::f32(sin_.data(), table.rows, table.half)};
}

LayerActivations Layers::allocate(std::int64_t tokens, const Linears& linears,
                                  Activations how) const {
  LayerActivations a;
  const auto make = [&](std::int64_t cols, std::int64_t ld) {
    a.memory.push_back(ops_.make(tokens * ld));
    return Mat::f32(a.memory.back().data(), tokens, cols, ld);
  };
  for (const Group g : all_groups)
    if (how == Activations::kept || g != Group::gate_up)
      a.mats.input[index_of(g)] = make(shape_of(config_, g).in, linears.stride(g));
  a.mats.qkv = make(heads_.columns(), heads_.columns());
  a.mats.gate_up = make(2 * config_.intermediate, 2 * config_.intermediate);
  a.mats.inverse_input = a.mats.inverse_middle = make(1, 1);
  if (how == Activations::kept) {
    a.mats.middle = make(config_.hidden, config_.hidden);
    a.mats.inverse_middle = make(1, 1);
  } else {
    KAIRO_ASSERT(linears.stride(Group::qkv) == linears.stride(Group::gate_up),
                 "one buffer is both");
    a.mats.input[index_of(Group::gate_up)] = a.mats.input[index_of(Group::qkv)];
  }
  return a;
}

std::int32_t Layers::angle(std::int64_t position, std::int64_t tokens) const {
  return static_cast<std::int32_t>(position + (is_long(config_.rope, tokens) ? positions_ : 0));
}
Heads Layers::heads_of(std::int64_t layer) const {
  Heads heads = heads_;
  heads.window = config_.kind(layer).window;
  return heads;
}
void Layers::rotate(const Mat& qkv, std::int64_t layer, const Ragged& rows, bool inverse) {
  if (!config_.kind(layer).is_rotated) return;
  const Mat q_and_k = qkv.columns_at(0, (heads_.queries + heads_.keys) * heads_.dim);
  ops_.rope(q_and_k, rope_, rows.angles, heads_.dim, inverse);
}

void Layers::forward(const Mat& out, const LayerActivations& activations, const Mat& x,
                     std::int64_t layer, const Ragged& rows, Linears& linears,
                     const KvCache* cache) {
  LayerMats m = activations.mats.first(rows.tokens);
  const auto& [qkv_in, o_in, gate_up_in, down_in] = m.input;
  const Heads heads = heads_of(layer);
  if (m.middle.data == nullptr) m.middle = x;

  ops_.norm(qkv_in, m.inverse_input, x, weights_.norm(2 * layer), config_.norm_eps);
  linears.forward(m.qkv, qkv_in, layer, Group::qkv, false);
  rotate(m.qkv, layer, rows, false);
  if (cache == nullptr)
    ops_.attention(o_in, m.qkv, heads, rows);
  else
    ops_.cached_attention(o_in, m.qkv, heads, rows, *cache, layer);
  if (m.middle.data != x.data) ops_.copy(m.middle, x);
  linears.forward(m.middle, o_in, layer, Group::o, true);

  ops_.norm(gate_up_in, m.inverse_middle, m.middle, weights_.norm(2 * layer + 1), config_.norm_eps);
  linears.forward(m.gate_up, gate_up_in, layer, Group::gate_up, false);
  ops_.gate(down_in, m.gate_up);
  if (out.data != m.middle.data) ops_.copy(out, m.middle);
  linears.forward(out, down_in, layer, Group::down, true);
}

void Layers::backward(const Mat& dx, const LayerActivations& activations, const Mat& x,
                      std::int64_t layer, const Ragged& rows, LoraLinears& linears) {
  const LayerMats m = activations.mats.first(rows.tokens);
  const auto& [qkv_in, o_in, gate_up_in, down_in] = m.input;
  const Mat dqkv = Mat::f32(dqkv_.data(), rows.tokens, heads_.columns());

  auto d = linears.backward(dx, down_in, layer, Group::down);
  if (!d) return;
  ops_.gate_backward(m.gate_up, *d);
  d = linears.backward(m.gate_up, gate_up_in, layer, Group::gate_up);
  if (!d) return;
  ops_.norm_backward(dx, *d, m.middle, m.inverse_middle, weights_.norm(2 * layer + 1));

  d = linears.backward(dx, o_in, layer, Group::o);
  if (!d) return;
  ops_.attention_backward(dqkv, *d, o_in, m.qkv, heads_of(layer), rows);
  rotate(dqkv, layer, rows, true);
  d = linears.backward(dqkv, qkv_in, layer, Group::qkv);
  if (!d) return;
  ops_.norm_backward(dx, *d, x, m.inverse_input, weights_.norm(2 * layer));
}
}  // namespace kairo::gpu
