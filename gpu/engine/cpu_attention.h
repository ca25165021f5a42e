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
inline std::uint16_t* bits(const Mat& m) {
  KAIRO_ASSERT(m.type == Type::bf16, "this is a product's factor in bf16");
  return static_cast<std::uint16_t*>(m.data);
}
class CpuAttention {  // owns the scores' scratch; one caller at a time; contracts as in ops.h
 public:
  // by_mkl: products of bf16 rows are MKL's in bf16; else, and where scores have a cap, such
  // rows are widened, a head at a time.
  CpuAttention(int threads, std::int64_t scores, bool by_mkl);
  void forward(const Mat& out, const Mat& qkv, const Heads& heads, const Ragged& rows);
  void backward(const Mat& dqkv, const Mat& dout, const Mat& out, const Mat& qkv,
                const Heads& heads, const Ragged& rows);
  void cached(const Mat& out, const Mat& qkv, const Heads& heads, const Ragged& rows,
              const KvCache& cache, std::int64_t layer);

 private:
  void forward_bf16(const Mat& out, const Mat& qkv, const Heads& heads, const Ragged& rows);
  void backward_bf16(const Mat& dqkv, const Mat& dout, const Mat& out, const Mat& qkv,
                     const Heads& heads, const Ragged& rows);
  float* scratch(std::int64_t needed);  // the calling thread's
  bool by_mkl_;
  std::int64_t scores_;
  int threads_;     // scratch_ has room for these
  Buffer scratch_;  // (threads, scores)
  Buffer partial_;  // of gradients that parts sum up
};
}  // namespace kairo::gpu
