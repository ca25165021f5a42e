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
// The same of bf16 factors (bits), summed in fp32. By MKL alone it may be called within an OpenMP
// region, as gemm. by_onednn: its results are rounded to bf16 first; from one thread outside of
// regions only. Callers ask is_possible (products.h) before.
struct GemmBf16 {
  bool transpose_a, transpose_b;
  std::int64_t M, N, K;
  const std::uint16_t* a;
  std::int64_t ld_a;
  const std::uint16_t* b;
  std::int64_t ld_b;
  float* c;
  std::int64_t ld_c;
  float alpha = 1.0f, beta = 0.0f;
};
void gemm_by_mkl(const GemmBf16& g);
// rounded: scratch, M * N bf16 values.
void gemm_by_onednn(const GemmBf16& g, std::uint16_t* rounded);
bool has_onednn();  // libtorch was built with it, and its switches leave it on
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
