// gpu/engine/cpu_ops.cpp - the device that defines all others: plain loops, the BLAS of libtorch.
#include <algorithm>
#include <cstring>

#include "gpu/engine/cpu_attention.h"
#include "gpu/engine/ops.h"
#include "gpu/engine/torch_cpu.h"
#include "gpu/kernels/bf16.h"
#include "gpu/kernels/cross_entropy.h"
#include "gpu/kernels/frozen_matmul.h"
#include "gpu/kernels/gelu.h"
#include "gpu/kernels/layernorm.h"
#include "gpu/kernels/rmsnorm.h"
#include "gpu/kernels/rope.h"
#include "gpu/kernels/swiglu.h"

namespace kairo::gpu {
namespace {
constexpr std::int64_t worth_threads = 1 << 15;  // values; below, waking them costs more

float* dense(const Mat& m) {
  KAIRO_ASSERT(m.is_dense(), "this kernel takes dense rows");
  return floats(m);
}

class CpuOps final : public Ops {
 public:
  CpuOps(int threads, std::int64_t scores, Products products)
      : threads_(threads),
        products_(products),
        attention_(threads, scores, products == Products::mkl) {
    set_threads(threads);
  }
  // OpenMP keeps the number per calling thread.
  void enter() override { set_threads(threads_); }

  Buffer make(std::int64_t floats, Pages pages) override { return Buffer(floats, pages); }
  Buffer adopt(Buffer host) override { return host; }
  Buffer held(const void* host, std::int64_t bytes) override { return Buffer::view(host, bytes); }
  const void* placed_bytes(const void* host, std::int64_t) override { return host; }
  const float* seen(const Mat& m) override { return dense(m); }
  Buffer make_host(std::int64_t floats) override { return Buffer(floats); }
  std::unique_ptr<Copying> copy_out(float* host, const Mat& m) override {
    std::copy_n(dense(m), m.rows * m.cols, host);
    return nullptr;
  }

  void gemm(const Mat& c, const Factor& a, const Factor& b, float alpha, float beta) override {
    const std::int64_t K = a.turned ? a.mat.rows : a.mat.cols;
    KAIRO_ASSERT((a.turned ? a.mat.cols : a.mat.rows) == c.rows &&
                     (b.turned ? b.mat.rows : b.mat.cols) == c.cols &&
                     (b.turned ? b.mat.cols : b.mat.rows) == K,
                 "the factors' shapes give the product's");
    if (a.mat.type == Type::bf16) return gemm_bf16(c, a, b, K, alpha, beta);
    gpu::gemm({a.turned, b.turned, c.rows, c.cols, K, floats(a.mat), a.mat.ld, floats(b.mat),
               b.mat.ld, floats(c), c.ld, alpha, beta});
  }
  void frozen(const Mat& y, const Mat& x, std::span<const Frozen> stacked) override {
    std::int64_t columns = 0;
    for (const Frozen& w : stacked) {
      KAIRO_ASSERT(w.cols == x.cols, "stacked matrices multiply the same rows");
      columns += w.rows;
    }
    KAIRO_ASSERT(x.rows == y.rows && columns == y.cols, "the factors' shapes give the product's");
    float* scratch = reserve(frozen_, frozen_matmul_scratch(y.rows, x.cols, threads_));
    frozen_matmul_cpu(floats(y), y.ld, floats(x), x.ld, y.rows, stacked, scratch, threads_);
  }

  void add_low_rank(const Mat& y, const Mat& low, const Mat& b,
                    std::span<const LowRankPart> parts) override {
    KAIRO_ASSERT(low.rows == y.rows && low.cols == b.rows * static_cast<std::int64_t>(parts.size()),
                 "each part has its columns of low");
    add_low_rank_cpu(floats(y), floats(low), dense(b), {y.rows, b.rows, low.ld, y.ld, parts});
  }

  void zero(const Mat& m) override {
    each_row(m, [&](std::int64_t r) {
      std::memset(m.rows_at(r, 1).data, 0, static_cast<std::size_t>(m.cols * size_of(m.type)));
    });
  }
  void copy(const Mat& to, const Mat& from, float scale) override {
    each_row(to, [&](std::int64_t r) {
      if (to.type == Type::f32 && from.type == Type::f32 && scale != 1) {
        float* out = row(to, r);
        const float* in = row(from, r);
        for (std::int64_t i = 0; i < to.cols; ++i) out[i] = scale * in[i];
      } else if (to.type == Type::bf16 && from.type == Type::f32) {
        narrow_cpu(bits(to) + r * to.ld, row(from, r), to.cols, scale);
      } else {
        KAIRO_ASSERT(scale == 1, "a scaled copy reads fp32");
        copy_row(to.rows_at(r, 1), from.rows_at(r, 1));
      }
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
    each_row(to, [&](std::int64_t r) { copy_row(to.rows_at(r, 1), from.rows_at(rows[r], 1)); });
  }
  void scatter(const Mat& to, const Mat& from, const std::int32_t* rows) override {
    each_row(from, [&](std::int64_t r) { std::copy_n(row(from, r), from.cols, row(to, rows[r])); });
  }
  void decode(const Mat& to, const Frozen& from, const std::int32_t* rows) override {
    each_row(to, [&](std::int64_t r) { decode_row_cpu(row(to, r), from, rows[r]); });
  }
  void dequantise(const Mat& to, const Nf4View& from) override {
    if (to.type == Type::bf16)
      nf4_dequantize_bf16_cpu(bits(to), to.ld, from, to.rows, to.cols);
    else
      nf4_dequantize_cpu(floats(to), to.ld, from, to.rows, to.cols);
  }

  void norm(const Mat& out, const Mat& inverse, const Mat& x, const Mat& weight,
            float eps) override {
    const NormShape s = groups_of(x, inverse, weight);
    if (out.type == Type::bf16)
      return rmsnorm_bf16_cpu(bits(out), out.ld, dense(inverse), floats(x), x.ld, dense(weight), s,
                              eps);
    rmsnorm_cpu(floats(out), out.ld, dense(inverse), floats(x), x.ld, dense(weight), s, eps);
  }
  void norm_backward(const Mat& dx, const Mat& dout, const Mat& x, const Mat& inverse,
                     const Mat& weight, bool add) override {
    rmsnorm_backward_cpu(floats(dx), dx.ld, floats(dout), dout.ld, floats(x), x.ld, dense(inverse),
                         dense(weight), groups_of(x, inverse, weight), add);
  }
  void layer_norm(const Mat& out, const Mat& inverse, const Mat& x, const Mat& weight,
                  const Mat& bias, float eps) override {
    const Mat result = fp32_of(out, sums_);
    layernorm_cpu(floats(result), result.ld, dense(inverse), dense(x), dense(weight), dense(bias),
                  x.rows, x.cols, eps);
    if (result.data != out.data) copy(out, result, 1);
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
  void gate(const Mat& out, const Mat& gate_up, const Mat& from, Activation how) override {
    const bool is_there = gate_up.data == from.data;
    if (gate_up.type == Type::bf16 && how == Activation::swiglu) {
      KAIRO_ASSERT(gate_up.is_dense() && from.is_dense(), "this kernel takes dense rows");
      return swiglu_bf16_cpu(bits(out), out.ld, bits(gate_up), is_there ? nullptr : floats(from),
                             gate_up.rows, out.cols);
    }
    if (!is_there) copy(gate_up, from, 1);
    const Mat wide = widened(gate_up), result = fp32_of(out, sums_);
    const auto kernel = how == Activation::swiglu  ? swiglu_cpu
                        : how == Activation::geglu ? geglu_cpu
                                                   : gelu_cpu;
    kernel(floats(result), result.ld, dense(wide), wide.rows, result.cols);
    if (result.data != out.data) copy(out, result, 1);
  }
  void gate_backward(const Mat& gate_up, const Mat& dout, Activation how) override {
    if (gate_up.type == Type::bf16 && how == Activation::swiglu) {
      KAIRO_ASSERT(gate_up.is_dense(), "this kernel takes dense rows");
      return swiglu_backward_bf16_cpu(bits(gate_up), floats(dout), dout.ld, gate_up.rows,
                                      dout.cols);
    }
    const Mat wide = widened(gate_up);
    const auto kernel = how == Activation::swiglu  ? swiglu_backward_cpu
                        : how == Activation::geglu ? geglu_backward_cpu
                                                   : gelu_backward_cpu;
    kernel(dense(wide), floats(dout), dout.ld, wide.rows, dout.cols);
    if (wide.data != gate_up.data) copy(gate_up, wide, 1);
  }
  void dropout(const Mat& out, const Mat& x, const DropoutMask& mask) override {
    if (x.type == Type::bf16)
      dropout_bf16_cpu(bits(out), out.ld, bits(x), x.ld, mask, x.rows, x.cols);
    else
      dropout_cpu(floats(out), out.ld, floats(x), x.ld, mask, x.rows, x.cols);
  }
  void dropout_add(const Mat& sum, const Mat& x, const DropoutMask& mask) override {
    dropout_add_cpu(floats(sum), sum.ld, floats(x), x.ld, mask, x.rows, x.cols);
  }

  Mat cross_entropy(const Mat& logits, const Mat& loss, const std::int32_t* targets, float scale,
                    Type type, float cap) override {
    const std::int64_t T = logits.rows, V = logits.cols;
    if (type == Type::f32) {
      cross_entropy_cpu(dense(logits), dense(loss), targets, T, V, scale, cap);
      return logits;
    }
    cross_entropy_bf16_cpu(dense(logits), dense(loss), targets, T, V, scale, cap);
    return Mat::of(Type::bf16, logits.data, T, V, 2 * V);
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
  // One row each.
  static void copy_row(const Mat& to, const Mat& from) {
    if (to.data == from.data && to.type == from.type) return;
    if (to.type == from.type)
      std::memcpy(to.data, from.data, static_cast<std::size_t>(to.cols * size_of(to.type)));
    else if (to.type == Type::bf16)
      narrow_cpu(bits(to), floats(from), to.cols);
    else
      widen_cpu(floats(to), bits(from), to.cols);
  }
  // m itself if it is fp32, else room for its shape.
  static Mat fp32_of(const Mat& m, Buffer& scratch) {
    return m.type == Type::f32 ? m : Mat::f32(reserve(scratch, m.rows * m.cols), m.rows, m.cols);
  }
  Mat widened(const Mat& m) {
    const Mat wide = fp32_of(m, wide_);
    if (wide.data != m.data) copy(wide, m, 1);
    return wide;
  }
  void gemm_bf16(const Mat& c, const Factor& a, const Factor& b, std::int64_t K, float alpha,
                 float beta) {
    KAIRO_ASSERT(c.type == Type::f32 || beta == 0, "only fp32 is added to");
    const Mat sums = fp32_of(c, sums_);
    const GemmBf16 g{a.turned,    b.turned, c.rows,       c.cols,  K,     bits(a.mat), a.mat.ld,
                     bits(b.mat), b.mat.ld, floats(sums), sums.ld, alpha, beta};
    if (products_ == Products::onednn)
      gemm_by_onednn(
          g, reinterpret_cast<std::uint16_t*>(reserve(rounded_, floats_of(Type::bf16, g.M * g.N))));
    else
      gemm_by_mkl(g);
    if (sums.data != c.data) copy(c, sums, 1);
  }
  static float* reserve(Buffer& scratch, std::int64_t floats) {
    if (scratch.size() < floats) scratch = Buffer(floats);
    return scratch.data();
  }
  template <class Work>
  static void each_row(const Mat& m, const Work& work) {
    const std::int64_t rows = m.rows;
    const bool is_large = rows * m.cols >= worth_threads;
#pragma omp parallel for schedule(static) if (is_large)
    for (std::int64_t r = 0; r < rows; ++r) work(r);
  }
  int threads_;
  Products products_;
  CpuAttention attention_;
  // Of results that become bf16, of what is computed of bf16 in fp32, of oneDNN's products.
  Buffer sums_, wide_, rounded_;
  Buffer frozen_;  // of products with frozen matrices
};
}  // namespace

std::unique_ptr<Ops> make_cpu_ops(int threads, std::int64_t scores, Products products) {
  return std::make_unique<CpuOps>(threads, scores, products);
}
}  // namespace kairo::gpu
