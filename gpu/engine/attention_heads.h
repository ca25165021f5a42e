// gpu/engine/attention_heads.h - one query head against its keys and values: what attention in both
// types is made of. Private to cpu_attention*.cpp.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "gpu/engine/mat.h"
#include "gpu/kernels/softmax.h"
#include "gpu/plan/attention_rows.h"

namespace kairo::gpu {
// One query head's rows against its keys and values, of which the first `past` come before the
// rows. Pointers to the first of each; strides in floats.
struct Head {
  const float* q;
  std::int64_t ld_q;
  const float *k, *v;
  std::int64_t ld_kv;
  float* out;
  std::int64_t ld_out, rows, past, dim, window;
  float scale, cap;
  float* scores;  // scratch, (query_block, past + rows)
};
// A block of rows and the keys that one of them sees.
struct Block {
  std::int64_t begin, rows;      // of the segment's rows
  std::int64_t first_key, keys;  // of past and rows
  CausalShape shape;
};
template <class AnyHead>
Block block_of(const AnyHead& h, std::int64_t begin) {
  const std::int64_t rows = std::min(query_block, h.rows - begin), before = h.past + begin;
  const std::int64_t first_key =
      h.window == 0 ? 0 : std::max<std::int64_t>(0, before + 1 - h.window);
  const std::int64_t keys = before + rows - first_key;
  return {begin, rows, first_key, keys, {rows, keys, before - first_key, h.window}};
}
struct HeadGradient {  // past is 0
  const float* dout;
  std::int64_t ld_dout;
  float *dq, *dk, *dv;
  std::int64_t ld;      // of these three
  float* dscores;       // scratch, as scores
  bool first_of_group;  // overwrites dk and dv; later heads of the group add
};
inline float scale_of(const Heads& heads) {
  return heads.scale > 0 ? heads.scale : 1.0f / std::sqrt(static_cast<float>(heads.dim));
}

void head_forward(const Head& h);
void head_backward(const Head& h, const HeadGradient& g);

struct Segment {
  std::int64_t begin, rows;
};
inline Segment segment_of(const Ragged& rows, std::int64_t s) {
  return {rows.starts[s], rows.starts[s + 1] - rows.starts[s]};
}
}  // namespace kairo::gpu
