// gpu/engine/cpu_attention.cpp - blocks of query rows against the keys before them; probabilities
// are recomputed in the backward pass instead of kept.
#include "gpu/engine/cpu_attention.h"

#include <omp.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "gpu/engine/attention_rows.h"
#include "gpu/engine/torch_cpu.h"
#include "gpu/kernels/softmax.h"
#include "schemas/base/assert.h"

namespace kairo::gpu {
namespace {}

// One query head of one segment. Pointers to its first token; strides in floats.
struct CpuAttention::Head {
  const float *q, *k, *v;
  float* out;
  std::int64_t tokens, ld_qkv, ld_out, dim;
  float *scores, *dscores;  // scratch, (query_block, tokens) each
  // Backward only.
  const float* dout;
  std::int64_t ld_dout;
  float *dq, *dk, *dv;
  bool first_of_group;  // overwrites dk and dv; later heads of the group add
};

CpuAttention::CpuAttention(AttentionShape shape, std::int64_t longest, int threads)
    : shape_(shape),
      scratch_floats_(2 * query_block * longest),
      threads_(threads),
      scratch_(scratch_floats_ * threads) {}

void CpuAttention::head_forward(const Head& h) {
  const float scale = 1.0f / std::sqrt(static_cast<float>(h.dim));
  for (std::int64_t begin = 0; begin < h.tokens; begin += query_block) {
    const std::int64_t rows = std::min(query_block, h.tokens - begin), keys = begin + rows;
    gemm({false, true, rows, keys, h.dim, h.q + begin * h.ld_qkv, h.ld_qkv, h.k, h.ld_qkv, h.scores,
          keys});
    causal_softmax_cpu(h.scores, {rows, keys, begin}, scale);
    gemm({false, false, rows, h.dim, keys, h.scores, keys, h.v, h.ld_qkv, h.out + begin * h.ld_out,
          h.ld_out});
  }
}

// dV = P^T dO;  dP = dO V^T;  dS = P (dP - rowsum(dO O)) scale;  dQ = dS K;  dK = dS^T Q.
void CpuAttention::head_backward(const Head& h) {
  const float scale = 1.0f / std::sqrt(static_cast<float>(h.dim));
  if (h.first_of_group)
    for (std::int64_t t = 0; t < h.tokens; ++t) {
      std::fill_n(h.dk + t * h.ld_qkv, h.dim, 0.0f);
      std::fill_n(h.dv + t * h.ld_qkv, h.dim, 0.0f);
    }
  for (std::int64_t begin = 0; begin < h.tokens; begin += query_block) {
    const std::int64_t rows = std::min(query_block, h.tokens - begin), keys = begin + rows;
    const float *q = h.q + begin * h.ld_qkv, *dout = h.dout + begin * h.ld_dout;
    std::array<float, query_block> delta{};
    for (std::int64_t r = 0; r < rows; ++r) {
      const float *g = dout + r * h.ld_dout, *o = h.out + (begin + r) * h.ld_out;
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (std::int64_t i = 0; i < h.dim; ++i) sum += g[i] * o[i];
      delta[static_cast<std::size_t>(r)] = sum;
    }
    gemm({false, true, rows, keys, h.dim, q, h.ld_qkv, h.k, h.ld_qkv, h.scores, keys});
    causal_softmax_cpu(h.scores, {rows, keys, begin}, scale);
    gemm({true, false, keys, h.dim, rows, h.scores, keys, dout, h.ld_dout, h.dv, h.ld_qkv, 1.0f,
          1.0f});
    gemm({false, true, rows, keys, h.dim, dout, h.ld_dout, h.v, h.ld_qkv, h.dscores, keys});
    causal_softmax_backward_cpu(h.dscores, h.scores, delta.data(), {rows, keys, begin}, scale);
    gemm({false, false, rows, h.dim, keys, h.dscores, keys, h.k, h.ld_qkv, h.dq + begin * h.ld_qkv,
          h.ld_qkv});
    gemm(
        {true, false, keys, h.dim, rows, h.dscores, keys, q, h.ld_qkv, h.dk, h.ld_qkv, 1.0f, 1.0f});
  }
}

void CpuAttention::forward(float* out, const float* qkv, const CpuBatch& batch) {
  const auto& s = shape_;
  const std::int64_t ld = s.columns(), work = batch.segments() * s.heads;
#pragma omp parallel for schedule(dynamic) num_threads(threads_)
  for (std::int64_t i = 0; i < work; ++i) {
    const std::int64_t segment = i / s.heads, head = i % s.heads;
    const std::int64_t kv_head = head / (s.heads / s.kv_heads);
    const auto seg = static_cast<std::size_t>(segment);
    const std::int64_t start = batch.starts[seg], tokens = batch.starts[seg + 1] - start;
    const float* row = qkv + start * ld;
    Head h{};
    h.q = row + head * s.dim;
    h.k = row + (s.heads + kv_head) * s.dim;
    h.v = h.k + s.kv_heads * s.dim;
    h.out = out + start * s.ld_out + head * s.dim;
    h.tokens = tokens;
    h.ld_qkv = ld;
    h.ld_out = s.ld_out;
    h.dim = s.dim;
    h.scores = scratch_.data() + omp_get_thread_num() * scratch_floats_;
    KAIRO_ASSERT(2 * query_block * tokens <= scratch_floats_, "the plan knows the longest row");
    head_forward(h);
  }
}

void CpuAttention::backward(float* dqkv, const float* dout, std::int64_t ld_dout, const float* out,
                            const float* qkv, const CpuBatch& batch) {
  const auto& s = shape_;
  const std::int64_t ld = s.columns(), group = s.heads / s.kv_heads;
  const std::int64_t work = batch.segments() * s.kv_heads;
#pragma omp parallel for schedule(dynamic) num_threads(threads_)
  for (std::int64_t i = 0; i < work; ++i) {
    const std::int64_t segment = i / s.kv_heads, kv_head = i % s.kv_heads;
    const auto seg = static_cast<std::size_t>(segment);
    const std::int64_t start = batch.starts[seg], tokens = batch.starts[seg + 1] - start;
    const std::int64_t k_at = (s.heads + kv_head) * s.dim, v_at = k_at + s.kv_heads * s.dim;
    const float* row = qkv + start * ld;
    float *drow = dqkv + start * ld,
          *scratch = scratch_.data() + omp_get_thread_num() * scratch_floats_;
    for (std::int64_t member = 0; member < group; ++member) {
      const std::int64_t q_at = (kv_head * group + member) * s.dim;
      Head h{};
      h.q = row + q_at;
      h.k = row + k_at;
      h.v = row + v_at;
      // Only read here; forward writes through the same struct.
      h.out = const_cast<float*>(out) + start * s.ld_out + q_at;
      h.tokens = tokens;
      h.ld_qkv = ld;
      h.ld_out = s.ld_out;
      h.dim = s.dim;
      h.scores = scratch;
      h.dscores = scratch + query_block * tokens;
      h.dout = dout + start * ld_dout + q_at;
      h.ld_dout = ld_dout;
      h.dq = drow + q_at;
      h.dk = drow + k_at;
      h.dv = drow + v_at;
      h.first_of_group = member == 0;
      head_backward(h);
    }
  }
}
}  // namespace kairo::gpu
