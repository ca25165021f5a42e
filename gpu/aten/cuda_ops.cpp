// gpu/aten/cuda_ops.cpp - the seam's calls as launches.
#include "gpu/aten/cuda_ops.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "gpu/aten/aten_ops.h"
#include "gpu/aten/device_memory.h"
#include "gpu/engine/device.h"

namespace kairo::gpu {
namespace {
KairoMat mat(const Mat& m) {
  return {m.data, m.type == Type::f32 ? kairo_f32 : kairo_bf16, m.rows, m.cols, m.ld};
}
std::int32_t kind(Activation how) {
  return how == Activation::swiglu  ? kairo_swiglu
         : how == Activation::geglu ? kairo_geglu
                                    : kairo_gelu;
}
std::int32_t kind(Stored of) {
  if (of == Stored::f32) return kairo_f32;
  if (!is_quantised(of)) return of == Stored::bf16 ? kairo_bf16 : kairo_f16;
  return kairo_q8_0 + static_cast<std::int32_t>(of) - static_cast<std::int32_t>(Stored::q8_0);
}
static_assert(kairo_q6_k - kairo_q8_0 ==
              static_cast<std::int32_t>(Stored::q6_k) - static_cast<std::int32_t>(Stored::q8_0));
KairoHeads heads_of(const Heads& h) {
  return {h.queries, h.keys, h.dim, h.window, h.scale, h.cap, h.interleaved ? 1 : 0};
}
KairoRagged rows_of(const Ragged& r) {
  return {r.starts, r.positions, r.segments, r.longest, r.tokens};
}
KairoDropout mask_of(const DropoutMask& m) {
  return {m.keys, m.module, m.p};
}

class CudaOps final : public ForwardOps {
 public:
  CudaOps(std::unique_ptr<Ops> base, std::shared_ptr<DeviceMemory> memory, const CudaKernels& k)
      : ForwardOps(std::move(base), {Call::frozen,
                                     Call::add_low_rank,
                                     Call::zero,
                                     Call::copy,
                                     Call::add,
                                     Call::add_row,
                                     Call::gather,
                                     Call::scatter,
                                     Call::decode,
                                     Call::dequantise,
                                     Call::norm,
                                     Call::norm_backward,
                                     Call::layer_norm,
                                     Call::layer_norm_backward,
                                     Call::rope,
                                     Call::attention,
                                     Call::attention_backward,
                                     Call::cached_attention,
                                     Call::gate,
                                     Call::gate_backward,
                                     Call::dropout,
                                     Call::dropout_add,
                                     Call::cross_entropy,
                                     Call::softcap,
                                     Call::length,
                                     Call::adamw}),
        memory_(std::move(memory)),
        k_(k),
        sums_(make(2 * (1 + kairo_square_sum_scratch), Pages::huge)) {
    const auto map = dynamic_map();
    map_ = held(map.data(), sizeof map);
  }

  void frozen(const Mat& y, const Mat& x, std::span<const Frozen> stacked) override {
    std::int64_t column = 0;
    for (const Frozen& w : stacked) {
      const Mat to = y.columns_at(column, w.rows);
      if (!ran(Call::frozen, k_.frozen, mat(to), mat(x), frozen_of(w)))
        ForwardOps::frozen(to, x, std::span(&w, 1));
      column += w.rows;
    }
  }
  void add_low_rank(const Mat& y, const Mat& low, const Mat& b,
                    std::span<const LowRankPart> parts) override {
    KairoLowRankParts own{static_cast<std::int64_t>(parts.size()), {}, {}};
    const bool fits = own.count <= kairo_low_rank_parts_max;
    for (std::size_t i = 0; fits && i < parts.size(); ++i) {
      own.first[i] = parts[i].first;
      own.cols[i] = parts[i].cols;
    }
    if (!fits || !ran(Call::add_low_rank, k_.add_low_rank, mat(y), mat(low), mat(b), &own))
      ForwardOps::add_low_rank(y, low, b, parts);
  }
  void zero(const Mat& m) override {
    if (!ran(Call::zero, k_.zero, mat(m))) ForwardOps::zero(m);
  }
  void copy(const Mat& to, const Mat& from, float scale) override {
    if (!ran(Call::copy, k_.copy, mat(to), mat(from), scale)) ForwardOps::copy(to, from, scale);
  }
  void add(const Mat& to, const Mat& from, float scale) override {
    if (!ran(Call::add, k_.add, mat(to), mat(from), scale)) ForwardOps::add(to, from, scale);
  }
  void add_row(const Mat& to, const Mat& row) override {
    if (!ran(Call::add_row, k_.add_row, mat(to), mat(row))) ForwardOps::add_row(to, row);
  }
  void gather(const Mat& to, const Mat& from, const std::int32_t* rows) override {
    if (!ran(Call::gather, k_.gather, mat(to), mat(from), rows)) ForwardOps::gather(to, from, rows);
  }
  void scatter(const Mat& to, const Mat& from, const std::int32_t* rows) override {
    if (!ran(Call::scatter, k_.scatter, mat(to), mat(from), rows))
      ForwardOps::scatter(to, from, rows);
  }
  void decode(const Mat& to, const Frozen& from, const std::int32_t* rows) override {
    if (!decoded(to, from, rows)) ForwardOps::decode(to, from, rows);
  }
  void dequantise(const Mat& to, const Nf4View& from) override {
    if (!ran(Call::dequantise, k_.dequantise, mat(to), nf4(from))) ForwardOps::dequantise(to, from);
  }

  void norm(const Mat& out, const Mat& inverse, const Mat& x, const Mat& weight,
            float eps) override {
    if (!ran(Call::norm, k_.norm, mat(out), mat(inverse), mat(x), mat(weight), eps))
      ForwardOps::norm(out, inverse, x, weight, eps);
  }
  void norm_backward(const Mat& dx, const Mat& dout, const Mat& x, const Mat& inverse,
                     const Mat& weight, bool add) override {
    if (!ran(Call::norm_backward, k_.norm_backward, mat(dx), mat(dout), mat(x), mat(inverse),
             mat(weight), add ? 1 : 0))
      ForwardOps::norm_backward(dx, dout, x, inverse, weight, add);
  }
  void layer_norm(const Mat& out, const Mat& inverse, const Mat& x, const Mat& weight,
                  const Mat& bias, float eps) override {
    if (!ran(Call::layer_norm, k_.layer_norm, mat(out), mat(inverse), mat(x), mat(weight),
             mat(bias), eps))
      ForwardOps::layer_norm(out, inverse, x, weight, bias, eps);
  }
  void layer_norm_backward(const Mat& dx, const Mat& dout, const Mat& x, const Mat& inverse,
                           const Mat& weight) override {
    if (!ran(Call::layer_norm_backward, k_.layer_norm_backward, mat(dx), mat(dout), mat(x),
             mat(inverse), mat(weight)))
      ForwardOps::layer_norm_backward(dx, dout, x, inverse, weight);
  }
  void rope(const Mat& x, const RopeMats& table, const std::int32_t* angles, std::int64_t dim,
            bool inverse) override {
    if (!ran(Call::rope, k_.rope, mat(x), mat(table.cos), mat(table.sin), angles, dim,
             inverse ? 1 : 0))
      ForwardOps::rope(x, table, angles, dim, inverse);
  }
  void attention(const Mat& out, const Mat& qkv, const Heads& heads, const Ragged& rows) override {
    if (!ran(Call::attention, k_.attention, mat(out), mat(qkv), heads_of(heads), rows_of(rows)))
      ForwardOps::attention(out, qkv, heads, rows);
  }
  void attention_backward(const Mat& dqkv, const Mat& dout, const Mat& out, const Mat& qkv,
                          const Heads& heads, const Ragged& rows) override {
    const std::int64_t needed = 2 * rows.tokens * heads.queries;
    if (is_own(Call::attention_backward) && scratch_.size() < needed)
      scratch_ = make(needed, Pages::huge);
    if (!ran(Call::attention_backward, k_.attention_backward, mat(dqkv), mat(dout), mat(out),
             mat(qkv), heads_of(heads), rows_of(rows), scratch_.data()))
      ForwardOps::attention_backward(dqkv, dout, out, qkv, heads, rows);
  }
  void cached_attention(const Mat& out, const Mat& qkv, const Heads& heads, const Ragged& rows,
                        const KvCache& cache, std::int64_t layer) override {
    const KairoCache own = {static_cast<float*>(cache.keys.data),
                            static_cast<float*>(cache.values.data), cache.layers, cache.context,
                            cache.slots};
    if (!ran(Call::cached_attention, k_.cached_attention, mat(out), mat(qkv), heads_of(heads),
             rows_of(rows), own, layer))
      ForwardOps::cached_attention(out, qkv, heads, rows, cache, layer);
  }
  void gate(const Mat& out, const Mat& gate_up, const Mat& from, Activation how) override {
    if (!ran(Call::gate, k_.gate, mat(out), mat(gate_up), mat(from), kind(how)))
      ForwardOps::gate(out, gate_up, from, how);
  }
  void gate_backward(const Mat& gate_up, const Mat& dout, Activation how) override {
    if (!ran(Call::gate_backward, k_.gate_backward, mat(gate_up), mat(dout), kind(how)))
      ForwardOps::gate_backward(gate_up, dout, how);
  }
  void dropout(const Mat& out, const Mat& x, const DropoutMask& mask) override {
    if (!ran(Call::dropout, k_.dropout, mat(out), mat(x), mask_of(mask)))
      ForwardOps::dropout(out, x, mask);
  }
  void dropout_add(const Mat& sum, const Mat& x, const DropoutMask& mask) override {
    if (!ran(Call::dropout_add, k_.dropout_add, mat(sum), mat(x), mask_of(mask)))
      ForwardOps::dropout_add(sum, x, mask);
  }

  Mat cross_entropy(const Mat& logits, const Mat& loss, const std::int32_t* targets, float scale,
                    Type type, float cap) override {
    if (!ran(Call::cross_entropy, k_.cross_entropy, mat(logits), mat(loss), targets, scale,
             type == Type::f32 ? kairo_f32 : kairo_bf16, cap))
      return ForwardOps::cross_entropy(logits, loss, targets, scale, type, cap);
    if (type == Type::f32) return logits;
    return Mat::of(type, logits.data, logits.rows, logits.cols, 2 * logits.ld);
  }
  void softcap(const Mat& m, float cap) override {
    if (!ran(Call::softcap, k_.softcap, mat(m), cap)) ForwardOps::softcap(m, cap);
  }
  double length(const Mat& flat) override {
    auto* const sum = static_cast<double*>(static_cast<void*>(sums_.data()));
    if (!ran(Call::length, k_.square_sum, sum, sum + 1, mat(flat))) return ForwardOps::length(flat);
    double out = 0;
    std::memcpy(&out, seen(Mat::f32(sums_.data(), 1, 2)), sizeof out);  // bytes are bytes
    return std::sqrt(out);
  }
  void adamw(const Mat& p, const Mat& g, const Mat& m, const Mat& v, const AdamwStep& s) override {
    const KairoAdamwStep step = {s.learning_rate, s.beta1,          s.beta2, s.eps,
                                 s.weight_decay,  s.gradient_scale, s.step};
    if (!ran(Call::adamw, k_.adamw, mat(p), mat(g), mat(m), mat(v), &step))
      ForwardOps::adamw(p, g, m, v, s);
  }

 private:
  // Whether the call was the kernel's: it may be given up, or not take such shapes.
  template <class Launch, class... Args>
  bool ran(Call call, const Launch& launch, const Args&... args) {
    if (!is_own(call)) return false;
    memory_->open();
    std::int32_t code = launch(args..., nullptr);
    if (code == 0 && k_.wait != nullptr) code = k_.wait(nullptr);
    memory_->close();
    if (code == kairo_cuda_unfit) return false;
    if (code != 0)
      throw DeviceFailure(
          false, "the device failed: " + std::string(name_of(call)) + ": " + k_.error_text(code));
    return true;
  }
  KairoNf4 nf4(const Nf4View& w) const {
    return {w.packed, w.scales, w.group_scales, map_.data(), w.offset};
  }
  KairoFrozen frozen_of(const Frozen& w) const {
    KairoFrozen out{w.data, {}, w.rows, w.cols, kairo_f32};
    if (w.nf4) {
      out.nf4 = nf4(*w.nf4);
      out.kind = kairo_nf4;
    } else {
      out.kind = kind(w.kind);
    }
    return out;
  }
  bool decoded(const Mat& to, const Frozen& from, const std::int32_t* rows) {
    if (from.nf4) return ran(Call::decode, k_.decode_nf4, mat(to), nf4(*from.nf4), rows);
    if (is_quantised(from.kind))
      return ran(Call::decode, k_.decode_blocks, mat(to), frozen_of(from), rows);
    if (from.kind == Stored::f16) return false;
    const Type type = from.kind == Stored::f32 ? Type::f32 : Type::bf16;
    return ran(Call::decode, k_.gather, mat(to),
               mat(Mat::of(type, from.data, from.rows, from.cols)), rows);
  }
  std::shared_ptr<DeviceMemory> memory_;
  CudaKernels k_;
  Buffer sums_, map_, scratch_;
};
}  // namespace

std::unique_ptr<ForwardOps> make_cuda_ops(const std::string& device, int threads,
                                          const CudaKernels& kernels,
                                          std::shared_ptr<DeviceMemory> memory) {
  if (memory == nullptr) memory = memory_of(device);
  return std::make_unique<CudaOps>(make_aten_ops(device, threads, memory), memory, kernels);
}
}  // namespace kairo::gpu
