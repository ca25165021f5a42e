// gpu/engine/cpu_attention_bf16.cpp - attention over rows in bf16: scores, softmax and sums in
// fp32.
#include <omp.h>

#include <array>

#include "gpu/engine/attention_heads.h"
#include "gpu/engine/cpu_attention.h"
#include "gpu/engine/torch_cpu.h"
#include "gpu/kernels/bf16.h"

namespace kairo::gpu {
namespace {
// As Head, in bf16.
struct HeadBf16 {
  const std::uint16_t *q, *k, *v;
  std::int64_t ld;
  std::uint16_t* out;
  std::int64_t ld_out, rows, dim, window;
  float scale, cap;
  float* scratch;
};
HeadBf16 head_of(const Mat& qkv, const Mat& out, const Heads& heads, const Segment& s,
                 std::int64_t head) {
  const std::int64_t kv_head = head / heads.group();
  const std::uint16_t* row = bits(qkv) + s.begin * qkv.ld;
  HeadBf16 h{};
  h.q = row + heads.query_at(head);
  h.k = row + heads.key_at(kv_head);
  h.v = row + heads.value_at(kv_head);
  h.ld = qkv.ld;
  h.out = bits(out) + s.begin * out.ld + head * heads.dim;
  h.ld_out = out.ld;
  h.rows = s.rows;
  h.dim = heads.dim;
  h.window = heads.window;
  h.scale = scale_of(heads);
  h.cap = heads.cap;
  return h;
}
// The scratch of a block: scores in fp32, then probabilities and their gradient in bf16, then what
// the block gives or takes.
struct BlockScratch {
  float* scores;                             // (query_block, keys)
  std::uint16_t *probabilities, *gradients;  // the same
  float* wide;                               // (query_block, dim)
  std::uint16_t* narrow;                     // the same
  BlockScratch(const HeadBf16& h)
      : scores(h.scratch),
        probabilities(reinterpret_cast<std::uint16_t*>(scores + query_block * h.rows)),
        gradients(probabilities + query_block * h.rows),
        wide(scores + 2 * query_block * h.rows),
        narrow(reinterpret_cast<std::uint16_t*>(wide + query_block * h.dim)) {}
};
void probabilities_of(const HeadBf16& h, const Block& b, const BlockScratch& s) {
  gemm_by_mkl({false, true, b.rows, b.keys, h.dim, h.q + b.begin * h.ld, h.ld,
               h.k + b.first_key * h.ld, h.ld, s.scores, b.keys});
  causal_softmax_bf16_cpu(s.probabilities, s.scores, b.shape, h.scale);
}
void forward_by_mkl(const HeadBf16& h) {
  const BlockScratch s(h);
  for (std::int64_t begin = 0; begin < h.rows; begin += query_block) {
    const Block b = block_of(h, begin);
    probabilities_of(h, b, s);
    gemm_by_mkl({false, false, b.rows, h.dim, b.keys, s.probabilities, b.keys,
                 h.v + b.first_key * h.ld, h.ld, s.wide, h.dim});
    for (std::int64_t r = 0; r < b.rows; ++r)
      narrow_cpu(h.out + (begin + r) * h.ld_out, s.wide + r * h.dim, h.dim);
  }
}
// The formulas of head_backward; adds to dk and dv.
void backward_by_mkl(const HeadBf16& h, const HeadGradient& g) {
  const BlockScratch s(h);
  for (std::int64_t begin = g.first * query_block; begin < h.rows; begin += g.step * query_block) {
    const Block b = block_of(h, begin);
    const std::int64_t k_at = b.first_key * h.ld, dk_at = b.first_key * g.ld_kv;
    std::array<float, query_block> delta{};
    for (std::int64_t r = 0; r < b.rows; ++r) {
      const float* dout = g.dout + (begin + r) * g.ld_dout;
      const std::uint16_t* out = h.out + (begin + r) * h.ld_out;
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (std::int64_t i = 0; i < h.dim; ++i) sum += dout[i] * float_of_bf16(out[i]);
      delta[static_cast<std::size_t>(r)] = sum;
      narrow_cpu(s.narrow + r * h.dim, dout, h.dim);
    }
    probabilities_of(h, b, s);
    gemm_by_mkl({true, false, b.keys, h.dim, b.rows, s.probabilities, b.keys, s.narrow, h.dim,
                 g.dv + dk_at, g.ld_kv, 1.0f, 1.0f});
    gemm_by_mkl(
        {false, true, b.rows, b.keys, h.dim, s.narrow, h.dim, h.v + k_at, h.ld, s.scores, b.keys});
    causal_softmax_backward_bf16_cpu(s.gradients, s.scores, s.probabilities, delta.data(), b.shape,
                                     h.scale);
    gemm_by_mkl({false, false, b.rows, h.dim, b.keys, s.gradients, b.keys, h.k + k_at, h.ld,
                 g.dq + begin * g.ld, g.ld});
    gemm_by_mkl({true, false, b.keys, h.dim, b.rows, s.gradients, b.keys, h.q + begin * h.ld, h.ld,
                 g.dk + dk_at, g.ld_kv, 1.0f, 1.0f});
  }
}

// The same by fp32 products: the head's rows are widened into the scratch first.
struct Widened {
  float *q, *k, *v, *out;  // (rows, dim) each
  Widened(const HeadBf16& h)
      : q(h.scratch + 2 * query_block * h.rows),
        k(q + h.rows * h.dim),
        v(k + h.rows * h.dim),
        out(v + h.rows * h.dim) {}
  Head head(const HeadBf16& h) const {
    return {q, h.dim, k, v, h.dim, out, h.dim, h.rows, h.dim, h.window, h.scale, h.cap, h.scratch};
  }
};
void widen(float* to, const std::uint16_t* from, std::int64_t ld, const HeadBf16& h) {
  for (std::int64_t t = 0; t < h.rows; ++t) widen_cpu(to + t * h.dim, from + t * ld, h.dim);
}
void forward_widened(const HeadBf16& h) {
  const Widened w(h);
  widen(w.q, h.q, h.ld, h);
  widen(w.k, h.k, h.ld, h);
  widen(w.v, h.v, h.ld, h);
  head_forward(w.head(h));
  for (std::int64_t t = 0; t < h.rows; ++t)
    narrow_cpu(h.out + t * h.ld_out, w.out + t * h.dim, h.dim);
}
void backward_widened(const HeadBf16& h, const HeadGradient& g, bool is_first) {
  const Widened w(h);
  widen(w.q, h.q, h.ld, h);
  widen(w.out, h.out, h.ld_out, h);
  if (is_first) {  // later heads of the group have the same
    widen(w.k, h.k, h.ld, h);
    widen(w.v, h.v, h.ld, h);
  }
  head_backward(w.head(h), g, h.scratch + query_block * h.rows);
}
}  // namespace

void CpuAttention::forward_bf16(const Mat& out, const Mat& qkv, const Heads& heads,
                                const Ragged& rows) {
  const std::int64_t work = rows.segments * heads.queries;
  const bool by_mkl = by_mkl_ && heads.cap == 0;
#pragma omp parallel for schedule(dynamic) num_threads(threads_)
  for (std::int64_t i = 0; i < work; ++i) {
    const Segment s = segment_of(rows, i / heads.queries);
    HeadBf16 h = head_of(qkv, out, heads, s, i % heads.queries);
    h.scratch = scratch(scores_to_train_bf16(s.rows, heads.dim));
    by_mkl ? forward_by_mkl(h) : forward_widened(h);
  }
}

void CpuAttention::backward_bf16(const Mat& dqkv, const Mat& dout, const Mat& out, const Mat& qkv,
                                 const Heads& heads, const Ragged& rows) {
  const bool by_mkl = by_mkl_ && heads.cap == 0;
  backward_in_parts({dqkv, dout, heads, rows, threads_, partial_},
                    [&](const Segment& s, std::int64_t head, const HeadGradient& g, bool is_first) {
                      HeadBf16 h = head_of(qkv, out, heads, s, head);
                      h.scratch = scratch(scores_to_train_bf16(s.rows, heads.dim));
                      by_mkl ? backward_by_mkl(h, g) : backward_widened(h, g, is_first);
                    });
}
}  // namespace kairo::gpu
