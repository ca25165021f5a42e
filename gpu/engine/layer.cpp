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
  for (Mat* mat : {&m.qkv, &m.middle, &m.gate_up, &m.unnormed, &m.attended, &m.fed})
    mat->rows = tokens;
  for (Mat& mat : m.input) mat.rows = tokens;
  for (Mat& mat : m.inverse) mat.rows = tokens;
  return m;
}

void norm(Ops& ops, const Mat& out, const Mat& inverse, const Mat& x, const NormWeights& w,
          float eps) {
  if (w.bias.data != nullptr) return ops.layer_norm(out, inverse, x, w.weight, w.bias, eps);
  ops.norm(out, inverse, x, w.weight, eps);
}
void norm_backward(Ops& ops, const Mat& dx, const Mat& dout, const Mat& x, const Mat& inverse,
                   const NormWeights& w) {
  if (w.bias.data != nullptr) return ops.layer_norm_backward(dx, dout, x, inverse, w.weight);
  ops.norm_backward(dx, dout, x, inverse, w.weight, true);
}

Layers::Layers(Ops& ops, const ModelConfig& config, const Weights& weights, std::int64_t positions,
               std::int64_t backward_tokens)
    : ops_(ops),
      config_(config),
      weights_(weights),
      heads_{config.heads,           config.kv_heads,      config.head_dim,   0,
             config.attention_scale, config.attention_cap, config.interleaved},
      positions_(positions),
      dqkv_(ops.make(backward_tokens * heads_.columns())),
      dbranch_(
          ops.make(config.has_branch() || config.parallel ? backward_tokens * config.hidden : 0)),
      sums_(ops.make(weights.type() == Type::f32
                         ? 0
                         : backward_tokens *
                               std::max(heads_.columns(), shape_of(config, Group::gate_up).out))) {
  const auto rope_of = [&](const RopeConfig& rope, RopeOf whose) {
    const RopeTable table = make_rope_table(rope, config.rotary_dim, positions, whose);
    Rope out = {filled(ops, table.cos), filled(ops, table.sin), {}};
    out.mats = {Mat::f32(out.cos.data(), table.rows, table.half),
                Mat::f32(out.sin.data(), table.rows, table.half)};
    return out;
  };
  rope_ = rope_of(config.rope, RopeOf::keys);
  if (config.rope.query_growth > 0) query_rope_ = rope_of(config.rope, RopeOf::queries);
  if (config.local_rope) local_rope_ = rope_of(*config.local_rope, RopeOf::keys);
}

LayerActivations Layers::allocate(std::int64_t tokens, const Linears& linears, Activations how) {
  LayerActivations a;
  const bool keeps = how == Activations::kept;
  const auto make = [&](std::int64_t cols, std::int64_t ld, Type type) {
    a.memory.push_back(ops_.make(floats_of(type, tokens * ld)));
    return Mat::of(type, a.memory.back().data(), tokens, cols, ld);
  };
  const auto plain = [&](std::int64_t cols) { return make(cols, cols, Type::f32); };
  const Type type = weights_.type();
  for (const Group g : all_groups) {
    const std::int64_t in = shape_of(config_, g).in, ld = linears.stride(g);
    Mat& input = a.mats.input[index_of(g)];
    if (keeps && g != Group::o) {
      Buffer& shared = shared_[index_of(g)];
      if (shared.size() < floats_of(type, tokens * ld))
        shared = ops_.make(floats_of(type, tokens * ld));
      input = Mat::of(type, shared.data(), tokens, in, ld);
    } else if (keeps || g != Group::gate_up) {
      input = make(in, ld, type);
    }
  }
  a.mats.qkv = make(heads_.columns(), heads_.columns(), type);
  const std::int64_t gate_up = shape_of(config_, Group::gate_up).out;
  a.mats.gate_up = make(gate_up, gate_up, type);
  for (std::size_t n = 0; n < norm_places; ++n) {
    const auto at = static_cast<NormAt>(n);
    const std::int64_t whole = at == NormAt::query ? heads_.queries * heads_.dim
                               : at == NormAt::key ? heads_.keys * heads_.dim
                                                   : config_.hidden;
    if (config_.has_norm(at)) a.mats.inverse[n] = plain(whole / norm_width(config_, at));
  }
  if (config_.qk_norm != QkNorm::none)
    a.mats.unnormed = plain((heads_.queries + heads_.keys) * heads_.dim);
  if (config_.has_branch()) {
    a.mats.attended = a.mats.fed = plain(config_.hidden);
    if (keeps && config_.has_norm(NormAt::after_mlp)) a.mats.fed = plain(config_.hidden);
  }
  if (keeps) {
    a.mats.middle = plain(config_.hidden);
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
Mat Layers::sums_of(const Mat& m) const {
  return m.type == Type::f32 ? m : Mat::f32(sums_.data(), m.rows, m.cols);
}
Mat Layers::queries_of(const Mat& qkv) const {
  return qkv.columns_at(0, heads_.queries * heads_.dim);
}
Mat Layers::keys_of(const Mat& qkv) const {
  return qkv.columns_at(heads_.queries * heads_.dim, heads_.keys * heads_.dim);
}

void Layers::embed(const Mat& x, const std::int32_t* tokens) {
  ops_.decode(x, weights_.embedding(), tokens);
  if (config_.embedding_scale != 1) ops_.copy(x, x, config_.embedding_scale);
}

void Layers::rotate(const Mat& qkv, std::int64_t layer, const Ragged& rows, bool inverse) {
  const LayerKind kind = config_.kind(layer);
  if (!kind.is_rotated) return;
  const RopeMats& rope = kind.is_local && config_.local_rope ? local_rope_.mats : rope_.mats;
  const auto turn = [&](const Mat& heads, const RopeMats& by) {
    ops_.rope(heads, by, rows.angles, heads_.dim, inverse);
  };
  if (heads_.interleaved) {
    for (std::int64_t g = 0; g < heads_.keys; ++g)
      turn(qkv.columns_at(heads_.query_at(g * heads_.group()), (heads_.group() + 1) * heads_.dim),
           rope);
  } else if (config_.rope.query_growth > 0) {
    turn(queries_of(qkv), query_rope_.mats);
    turn(keys_of(qkv), rope);
  } else {
    turn(qkv.columns_at(0, (heads_.queries + heads_.keys) * heads_.dim), rope);
  }
}
void Layers::norm_and_rotate(const LayerMats& m, std::int64_t layer, const Ragged& rows) {
  if (config_.qk_norm != QkNorm::none) {
    ops_.copy(m.unnormed, m.qkv.columns_at(0, m.unnormed.cols));
    const auto each = [&](const Mat& out, const Mat& x, NormAt at) {
      ops_.norm(out, m.inverse[index_of(at)], x, weights_.norm(layer, at).weight, config_.norm_eps);
    };
    each(queries_of(m.qkv), queries_of(m.unnormed), NormAt::query);
    each(keys_of(m.qkv), keys_of(m.unnormed), NormAt::key);
  }
  rotate(m.qkv, layer, rows, false);
}
void Layers::norm_and_rotate_backward(const Mat& dqkv, const LayerMats& m, std::int64_t layer,
                                      const Ragged& rows) {
  rotate(dqkv, layer, rows, true);
  if (config_.qk_norm == QkNorm::none) return;
  const auto each = [&](const Mat& d, const Mat& x, NormAt at) {
    ops_.norm_backward(d, d, x, m.inverse[index_of(at)], weights_.norm(layer, at).weight, false);
  };
  each(queries_of(dqkv), queries_of(m.unnormed), NormAt::query);
  each(keys_of(dqkv), keys_of(m.unnormed), NormAt::key);
}

void Layers::enter_half(const Mat& in, const LayerMats& m, const Mat& x, std::int64_t layer,
                        NormAt at) {
  if (!config_.has_norm(at)) return ops_.copy(in, x);
  norm(ops_, in, m.inverse[index_of(at)], x, weights_.norm(layer, at), config_.norm_eps);
}
void Layers::enter_half_backward(const Mat& dx, const Mat& din, const LayerMats& m, const Mat& x,
                                 std::int64_t layer, NormAt at) {
  if (!config_.has_norm(at)) return ops_.add(dx, din);
  norm_backward(ops_, dx, din, x, m.inverse[index_of(at)], weights_.norm(layer, at));
}

void Layers::leave_half(const Mat& to, const Mat& from, const LayerMats& m, std::int64_t layer,
                        Group g, const Mat& scratch, Linears& linears) {
  const Mat &in = m.input[index_of(g)], &branch = g == Group::o ? m.attended : m.fed;
  const NormAt at = g == Group::o ? NormAt::after_attention : NormAt::after_mlp;
  const bool in_place = to.data == from.data;
  if (config_.has_branch()) linears.forward(branch, in, layer, g, false);
  if (config_.has_norm(at)) {
    const Mat& normed = in_place ? scratch : to;
    norm(ops_, normed, m.inverse[index_of(at)], branch, weights_.norm(layer, at), config_.norm_eps);
    return ops_.add(to, in_place ? normed : from);
  }
  if (!in_place) ops_.copy(to, from);
  if (config_.has_branch()) return ops_.add(to, branch, config_.residual_scale);
  linears.forward(to, in, layer, g, true);
}
Mat Layers::leave_half_backward(const Mat& dout, const LayerMats& m, std::int64_t layer, Group g) {
  if (!config_.has_branch()) return dout;
  const Mat& branch = g == Group::o ? m.attended : m.fed;
  const NormAt at = g == Group::o ? NormAt::after_attention : NormAt::after_mlp;
  const Mat dbranch = Mat::f32(dbranch_.data(), dout.rows, config_.hidden);
  if (config_.has_norm(at))
    ops_.norm_backward(dbranch, dout, branch, m.inverse[index_of(at)],
                       weights_.norm(layer, at).weight, false);
  else
    ops_.copy(dbranch, dout, config_.residual_scale);
  return dbranch;
}

void Layers::forward(const Mat& out, const LayerActivations& activations, const Mat& x,
                     std::int64_t layer, const Ragged& rows, Linears& linears,
                     const KvCache* cache) {
  LayerMats m = activations.mats.first(rows.tokens);
  const auto& [qkv_in, o_in, gate_up_in, down_in] = m.input;
  const Heads heads = heads_of(layer);
  if (m.middle.data == nullptr) m.middle = x;

  enter_half(qkv_in, m, x, layer, NormAt::attention);
  const Mat kept_qkv = m.qkv;
  m.qkv = sums_of(kept_qkv);
  linears.forward(m.qkv, qkv_in, layer, Group::qkv, false);
  norm_and_rotate(m, layer, rows);
  if (m.qkv.data != kept_qkv.data) ops_.copy(kept_qkv, m.qkv);
  m.qkv = kept_qkv;
  if (cache == nullptr)
    ops_.attention(o_in, m.qkv, heads, rows);
  else
    ops_.cached_attention(o_in, m.qkv, heads, rows, *cache, layer);
  if (config_.parallel) enter_half(gate_up_in, m, x, layer, NormAt::mlp);  // x may be the middle
  leave_half(m.middle, x, m, layer, Group::o, qkv_in, linears);

  if (!config_.parallel) enter_half(gate_up_in, m, m.middle, layer, NormAt::mlp);
  const Mat gate_up = sums_of(m.gate_up);
  linears.forward(gate_up, gate_up_in, layer, Group::gate_up, false);
  ops_.gate(down_in, m.gate_up, gate_up, config_.activation);
  leave_half(out, m.middle, m, layer, Group::down, gate_up_in, linears);
}

void Layers::restore(const LayerMats& m, const Mat& x, std::int64_t layer, Group g,
                     LoraLinears& linears) {
  if (!linears.is_adapted(layer, g)) return;
  const Mat& in = m.input[index_of(g)];
  if (g == Group::down)
    ops_.gate(in, m.gate_up, m.gate_up, config_.activation);
  else if (g == Group::gate_up)
    enter_half(in, m, config_.parallel ? x : m.middle, layer, NormAt::mlp);
  else
    enter_half(in, m, x, layer, NormAt::attention);
  linears.restore(in, layer, g);
}

void Layers::backward(const Mat& dx, const LayerActivations& activations, const Mat& x,
                      std::int64_t layer, const Ragged& rows, LoraLinears& linears) {
  const LayerMats m = activations.mats.first(rows.tokens);
  const auto& [qkv_in, o_in, gate_up_in, down_in] = m.input;
  const Mat dqkv = Mat::f32(dqkv_.data(), rows.tokens, heads_.columns());
  const Mat dmiddle = Mat::f32(dbranch_.data(), rows.tokens, config_.hidden);
  if (config_.parallel) ops_.copy(dmiddle, dx);  // before the other half adds to it

  restore(m, x, layer, Group::down, linears);
  auto d =
      linears.backward(leave_half_backward(dx, m, layer, Group::down), down_in, layer, Group::down);
  if (!d) return;
  ops_.gate_backward(m.gate_up, *d, config_.activation);
  restore(m, x, layer, Group::gate_up, linears);
  d = linears.backward(m.gate_up, gate_up_in, layer, Group::gate_up);
  if (!d) return;
  enter_half_backward(dx, *d, m, config_.parallel ? x : m.middle, layer, NormAt::mlp);

  d = linears.backward(config_.parallel ? dmiddle : leave_half_backward(dx, m, layer, Group::o),
                       o_in, layer, Group::o);
  if (!d) return;
  ops_.attention_backward(dqkv, *d, o_in, m.qkv, heads_of(layer), rows);
  norm_and_rotate_backward(dqkv, m, layer, rows);
  restore(m, x, layer, Group::qkv, linears);
  d = linears.backward(dqkv, qkv_in, layer, Group::qkv);
  if (!d) return;
  enter_half_backward(dx, *d, m, x, layer, NormAt::attention);
}
}  // namespace kairo::gpu
