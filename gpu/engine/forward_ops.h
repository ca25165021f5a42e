// gpu/engine/forward_ops.h - a device that is another one but for some calls of its own, each of
// which can be given up: then it is the other's.
#pragma once
#include <array>
#include <bitset>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <utility>

#include "gpu/engine/ops.h"

namespace kairo::gpu {
// The calls that compute, in the order of ops.h.
enum class Call : std::uint8_t {
  gemm,
  frozen,
  add_low_rank,
  zero,
  copy,
  add,
  add_row,
  gather,
  scatter,
  decode,
  dequantise,
  norm,
  norm_backward,
  layer_norm,
  layer_norm_backward,
  rope,
  attention,
  attention_backward,
  cached_attention,
  gate,
  gate_backward,
  dropout,
  dropout_add,
  cross_entropy,
  softcap,
  length,
  adamw
};
inline constexpr std::array<std::string_view, 27> call_names = {"gemm",
                                                                "frozen",
                                                                "add_low_rank",
                                                                "zero",
                                                                "copy",
                                                                "add",
                                                                "add_row",
                                                                "gather",
                                                                "scatter",
                                                                "decode",
                                                                "dequantise",
                                                                "norm",
                                                                "norm_backward",
                                                                "layer_norm",
                                                                "layer_norm_backward",
                                                                "rope",
                                                                "attention",
                                                                "attention_backward",
                                                                "cached_attention",
                                                                "gate",
                                                                "gate_backward",
                                                                "dropout",
                                                                "dropout_add",
                                                                "cross_entropy",
                                                                "softcap",
                                                                "length",
                                                                "adamw"};
constexpr std::string_view name_of(Call call) {
  return call_names[static_cast<std::size_t>(call)];
}

// Who derives from it overrides its own calls and asks is_own() in each.
class ForwardOps : public Ops {
 public:
  ForwardOps(std::unique_ptr<Ops> base, std::initializer_list<Call> own) : base_(std::move(base)) {
    for (const Call call : own) own_.set(static_cast<std::size_t>(call));
  }
  bool is_own(Call call) const { return own_.test(static_cast<std::size_t>(call)); }
  void give_up(Call call) { own_.reset(static_cast<std::size_t>(call)); }

  void enter() override { base_->enter(); }
  Buffer make(std::int64_t floats, Pages pages) override { return base_->make(floats, pages); }
  Buffer adopt(Buffer host) override { return base_->adopt(std::move(host)); }
  Buffer held(const void* host, std::int64_t bytes) override { return base_->held(host, bytes); }
  const void* placed_bytes(const void* host, std::int64_t bytes) override {
    return base_->placed_bytes(host, bytes);
  }
  const float* seen(const Mat& m) override { return base_->seen(m); }
  Buffer make_host(std::int64_t floats) override { return base_->make_host(floats); }
  std::unique_ptr<Copying> copy_out(float* host, const Mat& m) override {
    return base_->copy_out(host, m);
  }
  void gemm(const Mat& c, const Factor& a, const Factor& b, float alpha, float beta) override {
    base_->gemm(c, a, b, alpha, beta);
  }
  using Ops::frozen;
  void frozen(const Mat& y, const Mat& x, std::span<const Frozen> stacked) override {
    base_->frozen(y, x, stacked);
  }
  void add_low_rank(const Mat& y, const Mat& low, const Mat& b,
                    std::span<const LowRankPart> parts) override {
    base_->add_low_rank(y, low, b, parts);
  }
  void zero(const Mat& m) override { base_->zero(m); }
  void copy(const Mat& to, const Mat& from, float scale) override { base_->copy(to, from, scale); }
  void add(const Mat& to, const Mat& from, float scale) override { base_->add(to, from, scale); }
  void add_row(const Mat& to, const Mat& row) override { base_->add_row(to, row); }
  void gather(const Mat& to, const Mat& from, const std::int32_t* rows) override {
    base_->gather(to, from, rows);
  }
  void scatter(const Mat& to, const Mat& from, const std::int32_t* rows) override {
    base_->scatter(to, from, rows);
  }
  void decode(const Mat& to, const Frozen& from, const std::int32_t* rows) override {
    base_->decode(to, from, rows);
  }
  void dequantise(const Mat& to, const Nf4View& from) override { base_->dequantise(to, from); }
  void norm(const Mat& out, const Mat& inverse, const Mat& x, const Mat& weight,
            float eps) override {
    base_->norm(out, inverse, x, weight, eps);
  }
  void norm_backward(const Mat& dx, const Mat& dout, const Mat& x, const Mat& inverse,
                     const Mat& weight, bool add) override {
    base_->norm_backward(dx, dout, x, inverse, weight, add);
  }
  void layer_norm(const Mat& out, const Mat& inverse, const Mat& x, const Mat& weight,
                  const Mat& bias, float eps) override {
    base_->layer_norm(out, inverse, x, weight, bias, eps);
  }
  void layer_norm_backward(const Mat& dx, const Mat& dout, const Mat& x, const Mat& inverse,
                           const Mat& weight) override {
    base_->layer_norm_backward(dx, dout, x, inverse, weight);
  }
  void rope(const Mat& x, const RopeMats& table, const std::int32_t* angles, std::int64_t dim,
            bool inverse) override {
    base_->rope(x, table, angles, dim, inverse);
  }
  void attention(const Mat& out, const Mat& qkv, const Heads& heads, const Ragged& rows) override {
    base_->attention(out, qkv, heads, rows);
  }
  void attention_backward(const Mat& dqkv, const Mat& dout, const Mat& out, const Mat& qkv,
                          const Heads& heads, const Ragged& rows) override {
    base_->attention_backward(dqkv, dout, out, qkv, heads, rows);
  }
  void cached_attention(const Mat& out, const Mat& qkv, const Heads& heads, const Ragged& rows,
                        const KvCache& cache, std::int64_t layer) override {
    base_->cached_attention(out, qkv, heads, rows, cache, layer);
  }
  void gate(const Mat& out, const Mat& gate_up, const Mat& from, Activation how) override {
    base_->gate(out, gate_up, from, how);
  }
  void gate_backward(const Mat& gate_up, const Mat& dout, Activation how) override {
    base_->gate_backward(gate_up, dout, how);
  }
  void dropout(const Mat& out, const Mat& x, const DropoutMask& mask) override {
    base_->dropout(out, x, mask);
  }
  void dropout_add(const Mat& sum, const Mat& x, const DropoutMask& mask) override {
    base_->dropout_add(sum, x, mask);
  }
  Mat cross_entropy(const Mat& logits, const Mat& loss, const std::int32_t* targets, float scale,
                    Type type, float cap) override {
    return base_->cross_entropy(logits, loss, targets, scale, type, cap);
  }
  void softcap(const Mat& m, float cap) override { base_->softcap(m, cap); }
  double length(const Mat& flat) override { return base_->length(flat); }
  void adamw(const Mat& p, const Mat& g, const Mat& m, const Mat& v,
             const AdamwStep& step) override {
    base_->adamw(p, g, m, v, step);
  }

 private:
  std::unique_ptr<Ops> base_;
  std::bitset<call_names.size()> own_;
};
}  // namespace kairo::gpu
