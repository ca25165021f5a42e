// gpu/engine/torch_cpu.cpp - the only file that includes torch.
#include "gpu/engine/torch_cpu.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/mm.h>
#include <cpuid.h>
#include <torch/headeronly/version.h>

#include <cstdlib>
#include <cstring>

#include "gpu/kernels/bf16.h"
#include "schemas/base/assert.h"

// Exported by libtorch_cpu.so; declared here because libtorch ships no BLAS header.
extern "C" void sgemm_(const char* trans_a, const char* trans_b, const int* m, const int* n,
                       const int* k, const float* alpha, const float* a, const int* lda,
                       const float* b, const int* ldb, const float* beta, float* c, const int* ldc);
extern "C" void gemm_bf16bf16f32_(const char* trans_a, const char* trans_b, const int* m,
                                  const int* n, const int* k, const float* alpha,
                                  const std::uint16_t* a, const int* lda, const std::uint16_t* b,
                                  const int* ldb, const float* beta, float* c, const int* ldc);

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

void gemm_by_mkl(const GemmBf16& g) {
  if (g.M == 0 || g.N == 0) return;
  const char first = g.transpose_b ? 'T' : 'N', second = g.transpose_a ? 'T' : 'N';
  const int m = narrow(g.N), n = narrow(g.M), k = narrow(g.K);
  const int ld_b = narrow(g.ld_b), ld_a = narrow(g.ld_a), ld_c = narrow(g.ld_c);
  gemm_bf16bf16f32_(&first, &second, &m, &n, &k, &g.alpha, g.b, &ld_b, g.a, &ld_a, &g.beta, g.c,
                    &ld_c);
}

namespace {
at::Tensor bf16_view(const std::uint16_t* data, bool transposed, std::int64_t rows,
                     std::int64_t cols, std::int64_t ld) {
  const std::int64_t down = transposed ? 1 : ld, along = transposed ? ld : 1;
  return at::from_blob(const_cast<std::uint16_t*>(data), {rows, cols}, {down, along},
                       at::kBFloat16);
}
}  // namespace

void gemm_by_onednn(const GemmBf16& g, std::uint16_t* rounded) {
  if (g.M == 0 || g.N == 0) return;
  at::Tensor out = bf16_view(rounded, false, g.M, g.N, g.N);
  at::mm_out(out, bf16_view(g.a, g.transpose_a, g.M, g.K, g.ld_a),
             bf16_view(g.b, g.transpose_b, g.K, g.N, g.ld_b));
#pragma omp parallel for schedule(static)
  for (std::int64_t r = 0; r < g.M; ++r) {
    float* c = g.c + r * g.ld_c;
    const std::uint16_t* from = rounded + r * g.N;
    if (g.beta == 0)
      for (std::int64_t i = 0; i < g.N; ++i) c[i] = g.alpha * float_of_bf16(from[i]);
    else
      for (std::int64_t i = 0; i < g.N; ++i)
        c[i] = g.beta * c[i] + g.alpha * float_of_bf16(from[i]);
  }
}
bool has_onednn() {
  return at::globalContext().hasMKLDNN() && at::globalContext().userEnabledMkldnn();
}

void set_threads(int threads) {
  at::set_num_threads(threads);
}

// The BLAS chooses by vendor and model, not by the instructions alone. Its switches count, too.
std::string instruction_set() {
  std::string out = at::get_cpu_capability();
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(0, &a, &b, &c, &d) != 0) {
    char vendor[13] = {};
    std::memcpy(vendor, &b, 4);
    std::memcpy(vendor + 4, &d, 4);
    std::memcpy(vendor + 8, &c, 4);
    __get_cpuid(1, &a, &b, &c, &d);
    const unsigned base = a >> 8 & 0xf, model = (a >> 4 & 0xf) | (a >> 12 & 0xf0);
    out += std::string(", ") + vendor + " family " +
           std::to_string(base + (base == 15 ? a >> 20 & 0xff : 0)) + " model " +
           std::to_string(model);
  }
  for (const char* name : {"MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR", "ONEDNN_MAX_CPU_ISA"})
    if (const char* value = std::getenv(name))
      out += std::string(", ") + name + "=" + std::string(value).substr(0, 40);
  return out;
}

// "... Library Version 2024.2-Product Build 20240605 for Intel(R) 64 architecture applications"
std::string library() {
  std::string mkl = at::get_mkl_version();
  if (const auto at = mkl.find("Version "); at != std::string::npos)
    mkl = mkl.substr(at + 8, mkl.find(" for ", at) - at - 8);
  return "libtorch " TORCH_VERSION ", MKL " + mkl + ", own loops " KAIRO_MARCH;
}

float mean(std::span<const float> values) {
  const auto tensor = at::from_blob(const_cast<float*>(values.data()),
                                    {static_cast<std::int64_t>(values.size())}, at::kFloat);
  return at::mean(tensor).item<float>();
}
}  // namespace kairo::gpu
