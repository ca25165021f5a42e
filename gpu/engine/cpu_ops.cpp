// gpu/engine/cpu_ops.cpp - the device that defines all others: plain loops, the BLAS of libtorch.
#include <algorithm>
#include <cstring>

#include "gpu/engine/cpu_attention.h"
#include "gpu/engine/ops.h"
#include "gpu/engine/torch_cpu.h"
#include "gpu/kernels/cross_entropy.h"
#include "gpu/kernels/gelu.h"
#include "gpu/kernels/layernorm.h"
#include "gpu/kernels/rmsnorm.h"
#include "gpu/kernels/rope.h"
#include "gpu/kernels/skinny_matmul.h"
#include "gpu/kernels/swiglu.h"

namespace kairo::gpu {
namespace {
constexpr std::int64_t skinny_rows_max = 16;     // above, BLAS is faster
constexpr std::int64_t worth_threads = 1 << 15;  // values; below, waking them costs more

float* dense(const Mat& m) {
  KAIRO_ASSERT(m.is_dense(), "this kernel takes dense rows");
  return floats(m);
}

class CpuOps final : public Ops {
 public:
  CpuOps(int threads, std::int64_t scores) : threads_(threads), attention_(threads, scores) {
    set_threads(threads);
  }
  // OpenMP keeps the number per calling thread.
  void enter() override { set_threads(threads_); }

  Buffer make(std::int64_t floats, Pages pages) override { return Buffer(floats, pages); }
  Buffer adopt(Buffer host) override { return host; }
  const void* placed_bytes(const void* host, std::int64_t) override { return host; }
  const float* seen(const Mat& m) override { return dense(m); }

  void gemm(const Mat& c, const Factor& a, const Factor& b, float alpha, float beta) override {
    const std::int64_t K = a.turned ? a.mat.rows : a.mat.cols;
    KAIRO_ASSERT((a.turned ? a.mat.cols : a.mat.rows) == c.rows &&
                     (b.turned ? b.mat.rows : b.mat.cols) == c.cols &&
                     (b.turned ? b.mat.cols : b.mat.rows) == K,
                 "the factors' shapes give the product's");
    gpu::gemm({a.turned, b.turned, c.rows, c.cols, K, floats(a.mat), a.mat.ld, floats(b.mat),
               b.mat.ld, floats(c), c.ld, alpha, beta});
  }
  void skinny(const Mat& y, const Mat& x, const Mat& w) override {
    if (y.rows > skinny_rows_max) return gemm(y, x, turned(w), 1, 0);
    KAIRO_ASSERT(x.rows == y.rows && w.rows == y.cols && w.cols == x.cols,
                 "the factors' shapes give the product's");
    skinny_matmul_cpu(floats(y), floats(x), floats(w), {y.rows, y.cols, x.cols, x.ld, w.ld, y.ld});
  }

  void zero(const Mat& m) override {
    each_row(m, [&](std::int64_t r) { std::fill_n(row(m, r), m.cols, 0.0f); });
  }
  void copy(const Mat& to, const Mat& from, float scale) override {
    each_row(to, [&](std::int64_t r) {
      float* out = row(to, r);
      const float* in = row(from, r);
      if (scale == 1) {
        std::copy_n(in, to.cols, out);
        return;
      }
      for (std::int64_t i = 0; i < to.cols; ++i) out[i] = scale * in[i];
    });
  }
  void add(const Mat& to, const Mat& from, float scale) override {
    each_row(to, [&](std::int64_t r) {
      float* out = row(to, r);
      const float* in = row(from, r);
      for (std::int64_t i = 0; i < to.cols; ++i) out[i] += scale * in[i];
    });
  }
  void add_row(const Mat& to, const Mat& row_of) override {
    const float* in = dense(row_of);
    each_row(to, [&](std::int64_t r) {
      float* out = row(to, r);
      for (std::int64_t i = 0; i < to.cols; ++i) out[i] += in[i];
    });
  }
  void gather(const Mat& to, const Mat& from, const std::int32_t* rows) override {
    each_row(to, [&](std::int64_t r) { std::copy_n(row(from, rows[r]), to.cols, row(to, r)); });
  }
  void scatter(const Mat& to, const Mat& from, const std::int32_t* rows) override {
    each_row(from, [&](std::int64_t r) { std::copy_n(row(from, r), from.cols, row(to, rows[r])); });
  }
  void dequantise(const Mat& to, const Nf4View& from) override {
    nf4_dequantize_cpu(floats(to), to.ld, from, to.rows, to.cols);
  }

  void norm(const Mat& out, const Mat& inverse, const Mat& x, const Mat& weight,
            float eps) override {
    rmsnorm_cpu(floats(out), out.ld, dense(inverse), floats(x), x.ld, dense(weight),
                groups_of(x, inverse, weight), eps);
  }
  void norm_backward(const Mat& dx, const Mat& dout, const Mat& x, const Mat& inverse,
                     const Mat& weight, bool add) override {
    rmsnorm_backward_cpu(floats(dx), dx.ld, floats(dout), dout.ld, floats(x), x.ld, dense(inverse),
                         dense(weight), groups_of(x, inverse, weight), add);
  }
  void layer_norm(const Mat& out, const Mat& inverse, const Mat& x, const Mat& weight,
                  const Mat& bias, float eps) override {
    layernorm_cpu(floats(out), out.ld, dense(inverse), dense(x), dense(weight), dense(bias), x.rows,
                  x.cols, eps);
  }
  void layer_norm_backward(const Mat& dx, const Mat& dout, const Mat& x, const Mat& inverse,
                           const Mat& weight) override {
    layernorm_backward_cpu(dense(dx), floats(dout), dout.ld, dense(x), dense(inverse),
                           dense(weight), x.rows, x.cols);
  }
  void rope(const Mat& x, const RopeMats& table, const std::int32_t* positions, std::int64_t dim,
            bool inverse) override {
    rope_cpu(floats(x), dense(table.cos), dense(table.sin), positions,
             {x.rows, x.cols / dim, dim, x.ld, 2 * table.cos.cols}, inverse);
  }
  void attention(const Mat& out, const Mat& qkv, const Heads& heads, const Ragged& rows) override {
    attention_.forward(out, qkv, heads, rows);
  }
  void attention_backward(const Mat& dqkv, const Mat& dout, const Mat& out, const Mat& qkv,
                          const Heads& heads, const Ragged& rows) override {
    attention_.backward(dqkv, dout, out, qkv, heads, rows);
  }
  void cached_attention(const Mat& out, const Mat& qkv, const Heads& heads, const Ragged& rows,
                        const KvCache& cache, std::int64_t layer) override {
    attention_.cached(out, qkv, heads, rows, cache, layer);
  }
  void gate(const Mat& out, const Mat& gate_up, Activation how) override {
    const auto kernel = how == Activation::swiglu  ? swiglu_cpu
                        : how == Activation::geglu ? geglu_cpu
                                                   : gelu_cpu;
    kernel(floats(out), out.ld, dense(gate_up), gate_up.rows, out.cols);
  }
  void gate_backward(const Mat& gate_up, const Mat& dout, Activation how) override {
    const auto kernel = how == Activation::swiglu  ? swiglu_backward_cpu
                        : how == Activation::geglu ? geglu_backward_cpu
                                                   : gelu_backward_cpu;
    kernel(dense(gate_up), floats(dout), dout.ld, gate_up.rows, dout.cols);
  }
  void dropout(const Mat& out, const Mat& x, const DropoutMask& mask) override {
    dropout_cpu(floats(out), out.ld, floats(x), x.ld, mask, x.rows, x.cols);
  }
  void dropout_add(const Mat& sum, const Mat& x, const DropoutMask& mask) override {
    dropout_add_cpu(floats(sum), sum.ld, floats(x), x.ld, mask, x.rows, x.cols);
  }

  void cross_entropy(const Mat& logits, const Mat& loss, const std::int32_t* targets, float scale,
                     float cap) override {
    cross_entropy_cpu(dense(logits), dense(loss), targets, logits.rows, logits.cols, scale, cap);
  }
  void softcap(const Mat& m, float cap) override {
    each_row(m, [&](std::int64_t r) { softcap_cpu(row(m, r), m.cols, cap); });
  }
  double length(const Mat& flat) override { return norm_cpu(dense(flat), flat.rows * flat.cols); }
  void adamw(const Mat& p, const Mat& g, const Mat& m, const Mat& v,
             const AdamwStep& step) override {
    adamw_cpu(dense(p), dense(g), dense(m), dense(v), p.rows * p.cols, step);
  }

 private:
  static float* row(const Mat& m, std::int64_t r) { return floats(m) + r * m.ld; }
  static NormShape groups_of(const Mat& x, const Mat& inverse, const Mat& weight) {
    const NormShape s = {x.rows, weight.cols, x.cols / weight.cols};
    KAIRO_ASSERT(s.groups * s.C == x.cols && inverse.cols == s.groups,
                 "whole groups, one scale each");
    return s;
  }
  template <class Work>
  static void each_row(const Mat& m, const Work& work) {
    const std::int64_t rows = m.rows;
    const bool is_large = rows * m.cols >= worth_threads;
#pragma omp parallel for schedule(static) if (is_large)
    for (std::int64_t r = 0; r < rows; ++r) work(r);
  }
  int threads_;
  CpuAttention attention_;
};
}  // namespace

std::unique_ptr<Ops> make_cpu_ops(int threads, std::int64_t scores) {
  return std::make_unique<CpuOps>(threads, scores);
}
}  // namespace kairo::gpu
