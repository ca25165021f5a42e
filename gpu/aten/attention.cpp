// gpu/aten/attention.cpp - formulas as in gpu/engine/cpu_attention.cpp; the heads of a group lie
// one behind the other as rows, so that its keys are read once for all.
#include "gpu/aten/attention.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace kairo::gpu::aten {
namespace {
constexpr std::int64_t query_rows = 128;  // whose scores are in memory at once
// Of a cache: rows and keys that are looked at together, always so many, so that a row's sums have
// one order whatever other rows are computed with it.
constexpr std::int64_t tile_rows = 16, tile_keys = 256;

struct Segment {
  std::int64_t begin, rows;
};
template <class Run>
void each_segment(Starts starts, const Run& run) {
  for (std::size_t s = 0; s + 1 < starts.size(); ++s)
    if (starts[s + 1] > starts[s]) run(Segment{starts[s], starts[s + 1] - starts[s]}, s);
}
float scale_of(const Heads& heads) {
  return heads.scale > 0 ? heads.scale : 1.0f / std::sqrt(static_cast<float>(heads.dim));
}

// The parts of a segment's rows of qkv, or of its gradient.
struct Parts {
  at::Tensor q, k, v;  // (key heads, group, rows, dim); (key heads, rows, dim)
};
Parts parts_of(const Tensors& t, const Mat& qkv, const Heads& h, const Segment& s) {
  const std::int64_t group = h.group(), D = h.dim, first = s.begin * qkv.ld;
  const std::int64_t apart = h.interleaved ? (group + 2) * D : D;  // from key head to key head
  const std::int64_t q_apart = h.interleaved ? apart : group * D;
  const auto rows_of = [&](std::int64_t column) {
    return t.of(qkv, first + column, {h.keys, s.rows, D}, {apart, qkv.ld, 1});
  };
  return {t.of(qkv, first, {h.keys, group, s.rows, D}, {q_apart, D, qkv.ld, 1}),
          rows_of(h.key_at(0)), rows_of(h.value_at(0))};
}
// (key heads, group, rows, dim)
at::Tensor outputs_of(const Tensors& t, const Mat& out, const Heads& h, const Segment& s) {
  return t.of(out, s.begin * out.ld, {h.keys, h.group(), s.rows, h.dim},
              {h.group() * h.dim, h.dim, out.ld, 1});
}

// Rows [begin, begin + rows) of a segment and the keys that one of them sees.
struct Block {
  std::int64_t begin, rows, first_key, keys;
};
template <class Run>
void each_block(std::int64_t rows, const Heads& h, const Run& run) {
  for (std::int64_t begin = 0; begin < rows; begin += query_rows) {
    const std::int64_t count = std::min(query_rows, rows - begin);
    const std::int64_t first = h.window == 0 ? 0 : std::max<std::int64_t>(0, begin + 1 - h.window);
    run(Block{begin, count, first, begin + count - first});
  }
}
// The block's rows of each head, those of a group one behind the other: (key heads, -1, dim).
at::Tensor rows_of(const at::Tensor& heads, const Block& b) {
  return wide(heads.narrow(2, b.begin, b.rows)).reshape({heads.size(0), -1, heads.size(3)});
}
at::Tensor keys_of(const at::Tensor& keys, const Block& b) {
  return wide(keys.narrow(1, b.first_key, b.keys));
}
// (rows, keys), true: the row at that position does not see the key.
at::Tensor hidden(const Tensors& t, std::int64_t row, std::int64_t rows, std::int64_t key,
                  std::int64_t keys, std::int64_t window) {
  const auto options = t.options(at::kLong);
  const at::Tensor r = at::arange(row, row + rows, options).unsqueeze(1);
  const at::Tensor k = at::arange(key, key + keys, options).unsqueeze(0);
  const at::Tensor later = k.gt(r);
  return window == 0 ? later : later.logical_or(k.le(r.sub(window)));
}
struct Scores {
  at::Tensor probabilities, slopes;  // (key heads, rows of the group, keys); slopes: of a cap
};
// q: (key heads, group * rows, dim); k: (key heads, keys, dim).
Scores scores_of(const at::Tensor& q, const at::Tensor& k, const at::Tensor& is_hidden,
                 const Heads& h) {
  Scores out;
  at::Tensor s = at::bmm(q, k.transpose(1, 2)).mul_(scale_of(h));
  if (h.cap > 0) {
    s.div_(h.cap).tanh_();
    out.slopes = s.square().neg_().add_(1);
    s.mul_(h.cap);
  }
  const std::int64_t rows = is_hidden.size(0), keys = is_hidden.size(1);
  s.view({-1, rows, keys}).masked_fill_(is_hidden, -std::numeric_limits<float>::infinity());
  out.probabilities = s.softmax(-1);
  return out;
}
Scores scores_of(const Tensors& t, const Parts& p, const Block& b, const Heads& h) {
  return scores_of(rows_of(p.q, b), keys_of(p.k, b),
                   hidden(t, b.begin, b.rows, b.first_key, b.keys, h.window), h);
}
}  // namespace

void attention(const Tensors& t, const Mat& out, const Mat& qkv, const Heads& heads,
               Starts starts) {
  each_segment(starts, [&](const Segment& s, std::size_t) {
    const Parts p = parts_of(t, qkv, heads, s);
    const at::Tensor to = outputs_of(t, out, heads, s);
    each_block(s.rows, heads, [&](const Block& b) {
      const at::Tensor sums = at::bmm(scores_of(t, p, b, heads).probabilities, keys_of(p.v, b));
      to.narrow(2, b.begin, b.rows)
          .copy_(sums.view({heads.keys, heads.group(), b.rows, heads.dim}));
    });
  });
}

// dV = P^T dO;  dP = dO V^T;  dS = P (dP - rowsum(dO O)) scale;  dQ = dS K;  dK = dS^T Q.
void attention_backward(const Tensors& t, const Mat& dqkv, const Mat& dout, const Mat& out,
                        const Mat& qkv, const Heads& heads, Starts starts) {
  t.of(dqkv).zero_();
  each_segment(starts, [&](const Segment& s, std::size_t) {
    const Parts p = parts_of(t, qkv, heads, s), d = parts_of(t, dqkv, heads, s);
    const at::Tensor outs = outputs_of(t, out, heads, s), douts = outputs_of(t, dout, heads, s);
    each_block(s.rows, heads, [&](const Block& b) {
      const at::Tensor q = rows_of(p.q, b), k = keys_of(p.k, b), v = keys_of(p.v, b);
      const at::Tensor o = rows_of(outs, b), g = rows_of(douts, b);
      const Scores scores = scores_of(t, p, b, heads);
      const at::Tensor delta = g.mul(o).sum({2}, true);
      const auto added_to = [&](const at::Tensor& gradient) {
        return gradient.narrow(1, b.first_key, b.keys);
      };
      added_to(d.v).add_(at::bmm(scores.probabilities.transpose(1, 2), g));
      at::Tensor ds = at::bmm(g, v.transpose(1, 2)).sub_(delta).mul_(scores.probabilities);
      ds.mul_(scale_of(heads));
      if (heads.cap > 0) ds.mul_(scores.slopes);
      d.q.narrow(2, b.begin, b.rows)
          .copy_(at::bmm(ds, k).view({heads.keys, heads.group(), b.rows, heads.dim}));
      added_to(d.k).add_(at::bmm(ds.transpose(1, 2), q));
    });
  });
}

void cached_attention(const Tensors& t, const Mat& out, const Mat& qkv, const Heads& heads,
                      const CachedSegments& segments, const KvCache& cache, std::int64_t layer) {
  const std::int64_t D = heads.dim, group = heads.group(), context = cache.context;
  const auto cached = [&](const Mat& m, std::size_t segment) {  // (key heads, context, dim)
    const std::int64_t slot = segments.slots[segment];
    return t.of(m, (slot * cache.layers + layer) * heads.keys * context * D,
                {heads.keys, context, D}, {context * D, D, 1});
  };
  each_segment(segments.starts, [&](const Segment& s, std::size_t index) {
    const std::int64_t past = segments.positions[s.begin], end = past + s.rows;
    const Parts p = parts_of(t, qkv, heads, s);
    const at::Tensor keys = cached(cache.keys, index), values = cached(cache.values, index);
    keys.narrow(1, past, s.rows).copy_(p.k);
    values.narrow(1, past, s.rows).copy_(p.v);
    const at::Tensor to = outputs_of(t, out, heads, s);
    for (std::int64_t at = 0; at < s.rows;) {
      const std::int64_t row = past + at, edge = (row / tile_keys + 1) * tile_keys;
      const std::int64_t rows = std::min({tile_rows, s.rows - at, edge - row});
      const std::int64_t seen = std::min(edge, context);
      const at::Tensor q = at::zeros({heads.keys, group, tile_rows, D}, t.options(at::kFloat));
      q.narrow(2, 0, rows).copy_(p.q.narrow(2, at, rows));
      const Scores scores =
          scores_of(q.view({heads.keys, group * tile_rows, D}), keys.narrow(1, 0, seen),
                    hidden(t, row, tile_rows, 0, seen, heads.window), heads);
      // What lies behind the sequence was never written, and 0 times that need not be 0.
      const at::Tensor is_there = at::arange(seen, t.options(at::kLong)).lt(end).unsqueeze(1);
      const at::Tensor v = at::where(is_there, values.narrow(1, 0, seen), 0.0f);
      const at::Tensor sums = at::bmm(scores.probabilities, v);
      to.narrow(2, at, rows).copy_(sums.view({heads.keys, group, tile_rows, D}).narrow(2, 0, rows));
      at += rows;
    }
  });
}
}  // namespace kairo::gpu::aten
