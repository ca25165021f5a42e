// gpu/engine/torch_cpu.cpp - the only file that includes torch.
#include "gpu/engine/torch_cpu.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mean.h>

#include "schemas/base/assert.h"

// Exported by libtorch_cpu.so; declared here because libtorch ships no BLAS header.
extern "C" void sgemm_(const char* trans_a, const char* trans_b, const int* m, const int* n,
                       const int* k, const float* alpha, const float* a, const int* lda,
                       const float* b, const int* ldb, const float* beta, float* c, const int* ldc);

namespace kairo::gpu {
namespace {
int narrow(std::int64_t n) {
  KAIRO_ASSERT(n >= 0 && n <= INT32_MAX, "BLAS sizes are 32 bits");
  return static_cast<int>(n);
}
}  // namespace

// BLAS is column-major: a row-major product is the product of the swapped, transposed operands.
void gemm(const Gemm& g) {
  if (g.M == 0 || g.N == 0) return;
  const char first = g.transpose_b ? 'T' : 'N', second = g.transpose_a ? 'T' : 'N';
  const int m = narrow(g.N), n = narrow(g.M), k = narrow(g.K);
  const int ld_b = narrow(g.ld_b), ld_a = narrow(g.ld_a), ld_c = narrow(g.ld_c);
  sgemm_(&first, &second, &m, &n, &k, &g.alpha, g.b, &ld_b, g.a, &ld_a, &g.beta, g.c, &ld_c);
}

void set_threads(int threads) {
  at::set_num_threads(threads);
}

float mean(std::span<const float> values) {
  const auto tensor = at::from_blob(const_cast<float*>(values.data()),
                                    {static_cast<std::int64_t>(values.size())}, at::kFloat);
  return at::mean(tensor).item<float>();
}
}  // namespace kairo::gpu
