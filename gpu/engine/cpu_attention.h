// gpu/engine/cpu_attention.h - causal grouped-query attention of each segment on the CPU: forward,
// backward, and forward over a cache.
#pragma once
#include <cstdint>

#include "gpu/engine/buffer.h"
#include "gpu/engine/mat.h"

namespace kairo::gpu {
// The only way to a view's floats: whoever takes another type says so before.
inline float* floats(const Mat& m) {
  KAIRO_ASSERT(m.type == Type::f32, "the CPU's kernels compute in fp32");
  return static_cast<float*>(m.data);
}
class CpuAttention {  // owns the scores' scratch; one caller at a time; contracts as in ops.h
 public:
  CpuAttention(int threads, std::int64_t scores);
  void forward(const Mat& out, const Mat& qkv, const Heads& heads, const Ragged& rows);
  void backward(const Mat& dqkv, const Mat& dout, const Mat& out, const Mat& qkv,
                const Heads& heads, const Ragged& rows);
  void cached(const Mat& out, const Mat& qkv, const Heads& heads, const Ragged& rows,
              const KvCache& cache, std::int64_t layer);

 private:
  float* scratch(std::int64_t needed);  // the calling thread's
  std::int64_t scores_;
  int threads_;     // scratch_ has room for these
  Buffer scratch_;  // (threads, scores)
};
}  // namespace kairo::gpu
