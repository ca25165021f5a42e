// gpu/engine/attention_heads.h - one query head against its keys and values: what attention in both
// types is made of. Private to cpu_attention*.cpp.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "gpu/engine/buffer.h"
#include "gpu/engine/mat.h"
#include "gpu/kernels/softmax.h"
#include "gpu/plan/attention_rows.h"

namespace kairo::gpu {
// One query head's rows against their keys and values. Pointers to the first of each; strides in
// floats.
struct Head {
  const float* q;
  std::int64_t ld_q;
  const float *k, *v;
  std::int64_t ld_kv;
  float* out;
  std::int64_t ld_out, rows, dim, window;
  float scale, cap;
  float* scores;  // scratch, (query_block, rows)
};
// A block of rows and the keys that one of them sees.
struct Block {
  std::int64_t begin, rows;      // of the segment's rows
  std::int64_t first_key, keys;  // the same
  CausalShape shape;
};
template <class AnyHead>
Block block_of(const AnyHead& h, std::int64_t begin) {
  const std::int64_t rows = std::min(query_block, h.rows - begin);
  const std::int64_t first_key =
      h.window == 0 ? 0 : std::max<std::int64_t>(0, begin + 1 - h.window);
  const std::int64_t keys = begin + rows - first_key;
  return {begin, rows, first_key, keys, {rows, keys, begin - first_key, h.window}};
}
// Every step-th block of query rows from `first` on is this caller's.
struct HeadGradient {
  const float* dout;
  std::int64_t ld_dout;
  float* dq;
  std::int64_t ld;  // of dq
  float *dk, *dv;   // are added to
  std::int64_t ld_kv;
  std::int64_t first, step;
};
inline float scale_of(const Heads& heads) {
  return heads.scale > 0 ? heads.scale : 1.0f / std::sqrt(static_cast<float>(heads.dim));
}

void head_forward(const Head& h);
void head_backward(const Head& h, const HeadGradient& g, float* dscores);  // scratch, as scores

struct Segment {
  std::int64_t begin, rows;
};
inline Segment segment_of(const Ragged& rows, std::int64_t s) {
  return {rows.starts[s], rows.starts[s + 1] - rows.starts[s]};
}

struct BackwardPass {
  const Mat &dqkv, &dout;
  const Heads& heads;
  const Ragged& rows;
  int threads;
  Buffer& partial;  // grows to what parts need (attention_rows.h)
};
// Calls run(segment, query head, its gradient, whether it is the first of its part) for all heads,
// those of a group one after the other, and sums what parts have added up. The order of all sums
// depends on the batch and the number of threads alone.
template <class Run>
void backward_in_parts(const BackwardPass& pass, const Run& run) {
  const auto& [dqkv, dout, heads, rows, threads, partial] = pass;
  const std::int64_t work = rows.segments * heads.keys, group = heads.group(), dim = heads.dim;
  const std::int64_t parts = backward_parts(threads, work, rows.longest), others = parts - 1;
  if (partial.size() < rows.tokens * heads.keys * others * 2 * dim)
    partial = Buffer(rows.tokens * heads.keys * others * 2 * dim);
  // (rows, 2 dim): keys and values of one part of a head.
  const auto sums_of = [&](const Segment& s, std::int64_t kv_head, std::int64_t part) {
    return partial.data() +
           ((s.begin * heads.keys + kv_head * s.rows) * others + (part - 1) * s.rows) * 2 * dim;
  };
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (std::int64_t i = 0; i < work * parts; ++i) {
    const std::int64_t part = i % parts, kv_head = i / parts % heads.keys;
    const Segment s = segment_of(rows, i / parts / heads.keys);
    float* const row = static_cast<float*>(dqkv.data) + s.begin * dqkv.ld;
    HeadGradient g{};
    g.ld_dout = dout.ld;
    g.ld = g.ld_kv = dqkv.ld;
    g.dk = row + heads.key_at(kv_head);
    g.dv = row + heads.value_at(kv_head);
    if (part > 0) {
      g.dk = sums_of(s, kv_head, part);
      g.dv = g.dk + dim;
      g.ld_kv = 2 * dim;
    }
    g.first = part;
    g.step = parts;
    for (std::int64_t t = 0; t < s.rows; ++t) {
      std::fill_n(g.dk + t * g.ld_kv, dim, 0.0f);
      std::fill_n(g.dv + t * g.ld_kv, dim, 0.0f);
    }
    for (std::int64_t member = 0; member < group; ++member) {
      const std::int64_t head = kv_head * group + member;
      g.dout = static_cast<const float*>(dout.data) + s.begin * dout.ld + head * dim;
      g.dq = row + heads.query_at(head);
      run(s, head, g, member == 0);
    }
  }
  if (others == 0) return;
#pragma omp parallel for schedule(static) num_threads(threads)
  for (std::int64_t i = 0; i < work; ++i) {
    const std::int64_t kv_head = i % heads.keys;
    const Segment s = segment_of(rows, i / heads.keys);
    for (std::int64_t part = 1; part < parts; ++part)
      for (std::int64_t t = 0; t < s.rows; ++t) {
        float* const row = static_cast<float*>(dqkv.data) + (s.begin + t) * dqkv.ld;
        const float* from = sums_of(s, kv_head, part) + t * 2 * dim;
        for (std::int64_t d = 0; d < dim; ++d) row[heads.key_at(kv_head) + d] += from[d];
        for (std::int64_t d = 0; d < dim; ++d) row[heads.value_at(kv_head) + d] += from[dim + d];
      }
  }
}
}  // namespace kairo::gpu
