// gpu/engine/torch_cpu.h - the little that libtorch does for the CPU engine: products, threads, one
// mean.
#pragma once
#include <cstdint>
#include <span>
#include <string>

namespace kairo::gpu {
// c (M, N) = alpha * op(a) (M, K) * op(b) (K, N) + beta * c, all row-major; ld* = row strides.
// transpose_a: a is stored (K, M). transpose_b: b is stored (N, K). c is not read when beta = 0.
// fp32 in the BLAS that libtorch carries (MKL): the same kernels as at::mm, without its tensors.
// Inside an OpenMP region it runs on the calling thread. Empty sizes do nothing.
struct Gemm {
  bool transpose_a, transpose_b;
  std::int64_t M, N, K;
  const float* a;
  std::int64_t ld_a;
  const float* b;
  std::int64_t ld_b;
  float* c;
  std::int64_t ld_c;
  float alpha = 1.0f, beta = 0.0f;
};
void gemm(const Gemm& g);
// One pool for libtorch and our own loops. Call before any work.
void set_threads(int threads);
// What the products' last bits depend on beside their sizes and threads. instruction_set: of the
// loops, and the processor that the BLAS chooses its kernels by, e.g. "AVX512, AuthenticAMD family
// 25 model 17". library: names and versions.
std::string instruction_set();
std::string library();
// torch's fp32 mean, whose order of additions bitsandbytes' offset depends on.
float mean(std::span<const float> values);
}  // namespace kairo::gpu
