// gpu/engine/cpu_attention.cpp - blocks of query rows against the keys before them; probabilities
// are recomputed in the backward pass instead of kept.
#include "gpu/engine/cpu_attention.h"

#include <omp.h>

#include <algorithm>
#include <array>

#include "gpu/engine/attention_heads.h"
#include "gpu/engine/torch_cpu.h"
#include "gpu/kernels/cached_attention.h"

namespace kairo::gpu {
void head_forward(const Head& h) {
  for (std::int64_t begin = 0; begin < h.rows; begin += query_block) {
    const Block b = block_of(h, begin);
    const float *k = h.k + b.first_key * h.ld_kv, *v = h.v + b.first_key * h.ld_kv;
    gemm({false, true, b.rows, b.keys, h.dim, h.q + begin * h.ld_q, h.ld_q, k, h.ld_kv, h.scores,
          b.keys});
    causal_softmax_cpu(h.scores, b.shape, h.scale, h.cap);
    gemm({false, false, b.rows, h.dim, b.keys, h.scores, b.keys, v, h.ld_kv,
          h.out + begin * h.ld_out, h.ld_out});
  }
}

// dV = P^T dO;  dP = dO V^T;  dS = P (dP - rowsum(dO O)) scale;  dQ = dS K;  dK = dS^T Q.
void head_backward(const Head& h, const HeadGradient& g, float* dscores) {
  for (std::int64_t begin = g.first * query_block; begin < h.rows; begin += g.step * query_block) {
    const Block b = block_of(h, begin);
    const std::int64_t rows = b.rows, keys = b.keys, skipped = b.first_key * h.ld_kv;
    const std::int64_t skipped_gradients = b.first_key * g.ld_kv;
    const float *q = h.q + begin * h.ld_q, *dout = g.dout + begin * g.ld_dout;
    std::array<float, query_block> delta{};
    for (std::int64_t r = 0; r < rows; ++r) {
      const float *d = dout + r * g.ld_dout, *o = h.out + (begin + r) * h.ld_out;
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (std::int64_t i = 0; i < h.dim; ++i) sum += d[i] * o[i];
      delta[static_cast<std::size_t>(r)] = sum;
    }
    gemm({false, true, rows, keys, h.dim, q, h.ld_q, h.k + skipped, h.ld_kv, h.scores, keys});
    causal_softmax_cpu(h.scores, b.shape, h.scale, h.cap);
    gemm({true, false, keys, h.dim, rows, h.scores, keys, dout, g.ld_dout, g.dv + skipped_gradients,
          g.ld_kv, 1.0f, 1.0f});
    gemm({false, true, rows, keys, h.dim, dout, g.ld_dout, h.v + skipped, h.ld_kv, dscores, keys});
    causal_softmax_backward_cpu(dscores, h.scores, delta.data(), b.shape, h.scale);
    if (h.cap > 0) {  // the probabilities are not needed any more
      gemm({false, true, rows, keys, h.dim, q, h.ld_q, h.k + skipped, h.ld_kv, h.scores, keys});
      causal_cap_backward_cpu(dscores, h.scores, b.shape, h.scale, h.cap);
    }
    gemm({false, false, rows, h.dim, keys, dscores, keys, h.k + skipped, h.ld_kv,
          g.dq + begin * g.ld, g.ld});
    gemm({true, false, keys, h.dim, rows, dscores, keys, q, h.ld_q, g.dk + skipped_gradients,
          g.ld_kv, 1.0f, 1.0f});
  }
}

namespace {
// Query head `head` of a segment within qkv; out and scores are left open.
Head head_of(const Mat& qkv, const Heads& heads, const Segment& s, std::int64_t head) {
  const std::int64_t kv_head = head / heads.group();
  const float* row = floats(qkv) + s.begin * qkv.ld;
  Head h{};
  h.q = row + heads.query_at(head);
  h.k = row + heads.key_at(kv_head);
  h.v = row + heads.value_at(kv_head);
  h.ld_q = h.ld_kv = qkv.ld;
  h.rows = s.rows;
  h.dim = heads.dim;
  h.window = heads.window;
  h.scale = scale_of(heads);
  h.cap = heads.cap;
  return h;
}
// The rows of one layer and key head within a cache.
std::int64_t cached_rows(const KvCache& cache, const Heads& heads, std::int32_t slot,
                         std::int64_t layer, std::int64_t kv_head) {
  return ((slot * cache.layers + layer) * heads.keys + kv_head) * cache.context;
}
void append(const KvCache& cache, const Mat& qkv, const Heads& heads, const Ragged& rows,
            std::int64_t layer) {
  const std::int64_t D = heads.dim;
  for (std::int64_t s = 0; s < rows.segments; ++s)
    for (std::int64_t h = 0; h < heads.keys; ++h) {
      const Segment segment = segment_of(rows, s);
      const std::int64_t first = cached_rows(cache, heads, cache.slots[s], layer, h);
      const std::int64_t at = (first + rows.positions[segment.begin]) * D;
      const float* row = floats(qkv) + segment.begin * qkv.ld;
      for (std::int64_t t = 0; t < segment.rows; ++t, row += qkv.ld) {
        std::copy_n(row + heads.key_at(h), D, floats(cache.keys) + at + t * D);
        std::copy_n(row + heads.value_at(h), D, floats(cache.values) + at + t * D);
      }
    }
}
}  // namespace

CpuAttention::CpuAttention(int threads, std::int64_t scores, bool by_mkl)
    : by_mkl_(by_mkl), scores_(scores), threads_(threads), scratch_(scores * threads) {}

float* CpuAttention::scratch(std::int64_t needed) {
  KAIRO_ASSERT(needed <= scores_, "the longest row was known when the scratch was made");
  return scratch_.data() + omp_get_thread_num() * scores_;
}

void CpuAttention::forward(const Mat& out, const Mat& qkv, const Heads& heads, const Ragged& rows) {
  if (qkv.type == Type::bf16) return forward_bf16(out, qkv, heads, rows);
  const std::int64_t work = rows.segments * heads.queries;
#pragma omp parallel for schedule(dynamic) num_threads(threads_)
  for (std::int64_t i = 0; i < work; ++i) {
    const std::int64_t head = i % heads.queries;
    const Segment s = segment_of(rows, i / heads.queries);
    Head h = head_of(qkv, heads, s, head);
    h.out = floats(out) + s.begin * out.ld + head * heads.dim;
    h.ld_out = out.ld;
    h.scores = scratch(scores_forward(s.rows));
    head_forward(h);
  }
}

void CpuAttention::backward(const Mat& dqkv, const Mat& dout, const Mat& out, const Mat& qkv,
                            const Heads& heads, const Ragged& rows) {
  if (qkv.type == Type::bf16) return backward_bf16(dqkv, dout, out, qkv, heads, rows);
  backward_in_parts({dqkv, dout, heads, rows, threads_, partial_},
                    [&](const Segment& s, std::int64_t head, const HeadGradient& g, bool) {
                      Head h = head_of(qkv, heads, s, head);
                      h.out = floats(out) + s.begin * out.ld + head * heads.dim;  // only read
                      h.ld_out = out.ld;
                      h.scores = scratch(scores_to_train(s.rows));
                      head_backward(h, g, h.scores + query_block * s.rows);
                    });
}

void CpuAttention::cached(const Mat& out, const Mat& qkv, const Heads& heads, const Ragged& rows,
                          const KvCache& cache, std::int64_t layer) {
  append(cache, qkv, heads, rows, layer);
  const std::int64_t group = heads.group();
  const std::int64_t parts = (rows.longest * group + vectors_at_once - 1) / vectors_at_once;
  const std::int64_t of_segment = heads.keys * parts, work = rows.segments * of_segment;
#pragma omp parallel for schedule(dynamic) num_threads(threads_) if (work > 1)
  for (std::int64_t i = 0; i < work; ++i) {
    const std::int64_t segment = i / of_segment, kv_head = i % of_segment / parts;
    const std::int64_t first = i % parts * vectors_at_once;
    const Segment s = segment_of(rows, segment);
    if (first >= s.rows * group) continue;
    const std::int64_t at =
        cached_rows(cache, heads, cache.slots[segment], layer, kv_head) * heads.dim;
    const float* q = floats(qkv) + s.begin * qkv.ld + heads.query_at(kv_head * group);
    float* to = floats(out) + s.begin * out.ld + kv_head * group * heads.dim;
    const std::int64_t past = rows.positions[s.begin];
    cached_attention_cpu({q, qkv.ld, floats(cache.keys) + at, floats(cache.values) + at, to, out.ld,
                          s.rows, group, past, heads.dim, heads.window, scale_of(heads), heads.cap},
                         first, scratch(cached_attention_scratch(past + s.rows, heads.dim)));
  }
}
}  // namespace kairo::gpu
