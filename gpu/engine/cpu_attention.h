// gpu/engine/cpu_attention.h - causal grouped-query attention of each segment, forward and
// backward.
#pragma once
#include <cstdint>

#include "gpu/engine/buffer.h"
#include "gpu/engine/cpu_batch.h"

namespace kairo::gpu {
// qkv: (T, (heads + 2 kv_heads) * dim) dense, rotated; q heads, then k heads, then v heads.
// out: (T, heads * dim), row stride ld_out.
struct AttentionShape {
  std::int64_t heads, kv_heads, dim, ld_out;
  std::int64_t columns() const { return (heads + 2 * kv_heads) * dim; }
};
class CpuAttention {  // owns the scores' scratch; one caller at a time
 public:
  // longest: tokens of the longest segment that will come.
  CpuAttention(AttentionShape shape, std::int64_t longest, int threads);
  void forward(float* out, const float* qkv, const CpuBatch& batch);
  // dqkv: (T, columns), overwritten with the gradient for dout (T, heads * dim; row stride
  // ld_dout). out: what forward gave (row stride shape.ld_out).
  void backward(float* dqkv, const float* dout, std::int64_t ld_dout, const float* out,
                const float* qkv, const CpuBatch& batch);

 private:
  struct Head;
  void head_forward(const Head& h);
  void head_backward(const Head& h);
  AttentionShape shape_;
  std::int64_t scratch_floats_;
  int threads_;     // scratch_ has room for these
  Buffer scratch_;  // (threads, 2, query_block, longest)
};
}  // namespace kairo::gpu
