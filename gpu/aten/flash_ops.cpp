// gpu/aten/flash_ops.cpp - views of qkv as libtorch's flash kernels want them: (tokens, heads,
// dim).
#include "gpu/aten/flash_ops.h"

#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "gpu/aten/tensors.h"
#include "gpu/engine/device.h"
#include "schemas/base/log.h"

namespace kairo::gpu {
namespace {
std::string first_line(const c10::Error& error) {  // some list all devices of libtorch
  const std::string text = error.what_without_backtrace();
  return text.substr(0, std::min<std::size_t>(text.find('\n'), 200));
}
bool is_taken(const Mat& qkv, const Heads& heads) {
  return qkv.type == Type::bf16 && !heads.interleaved && heads.cap == 0 && heads.dim % 8 == 0 &&
         heads.dim <= 256 && qkv.ld % 8 == 0;
}

class FlashOps final : public ForwardOps {
 public:
  FlashOps(std::unique_ptr<Ops> base, const std::string& device)
      : ForwardOps(std::move(base), {Call::attention, Call::attention_backward}),
        t_(at::Device(device)) {}

  void attention(const Mat& out, const Mat& qkv, const Heads& heads, const Ragged& rows) override {
    const bool is_done = is_own(Call::attention) && is_taken(qkv, heads) &&
                         ran([&] { t_.of(out).copy_(forward(qkv, heads, rows).out.flatten(1)); });
    if (!is_done) ForwardOps::attention(out, qkv, heads, rows);
  }
  void attention_backward(const Mat& dqkv, const Mat& dout, const Mat& out, const Mat& qkv,
                          const Heads& heads, const Ragged& rows) override {
    const bool is_done = is_own(Call::attention_backward) && is_taken(qkv, heads) &&
                         ran([&] { backward(dqkv, dout, out, qkv, heads, rows); });
    if (!is_done) ForwardOps::attention_backward(dqkv, dout, out, qkv, heads, rows);
  }

 private:
  struct Seen {
    at::Tensor out, lse, seed, unused;
  };
  at::Tensor heads_at(const Mat& m, std::int64_t column, std::int64_t heads,
                      std::int64_t dim) const {
    return t_.of(m, column, {m.rows, heads, dim}, {m.ld, dim, 1});
  }
  at::Tensor queries(const Mat& m, const Heads& h) const {
    return heads_at(m, 0, h.queries, h.dim);
  }
  at::Tensor keys(const Mat& m, const Heads& h) const {
    return heads_at(m, h.key_at(0), h.keys, h.dim);
  }
  at::Tensor values(const Mat& m, const Heads& h) const {
    return heads_at(m, h.value_at(0), h.keys, h.dim);
  }
  static double scale_of(const Heads& h) {
    return h.scale > 0 ? h.scale : 1.0 / std::sqrt(static_cast<double>(h.dim));
  }
  static std::optional<std::int64_t> window_of(const Heads& h) {  // keys before a row's own
    return h.window == 0 ? std::nullopt : std::optional(h.window - 1);
  }
  static std::optional<std::int64_t> after(const Heads& h) {
    return h.window == 0 ? std::nullopt : std::optional<std::int64_t>(0);
  }
  Seen forward(const Mat& qkv, const Heads& h, const Ragged& rows) const {
    const at::Tensor starts = t_.indices(rows.starts, rows.segments + 1);
    auto [out, lse, seed, unused, mask] = at::_flash_attention_forward(
        queries(qkv, h), keys(qkv, h), values(qkv, h), starts, starts, rows.longest, rows.longest,
        0.0, true, false, scale_of(h), window_of(h), after(h));
    return {out, lse, seed, unused};
  }
  // What the forward pass kept for itself is made again, rather than kept for each layer.
  void backward(const Mat& dqkv, const Mat& dout, const Mat& out, const Mat& qkv, const Heads& h,
                const Ragged& rows) const {
    const Seen seen = forward(qkv, h, rows);
    const at::Tensor starts = t_.indices(rows.starts, rows.segments + 1);
    const at::Tensor given = queries(dout, h).to(at::kBFloat16);
    const auto [dq, dk, dv] = at::_flash_attention_backward(
        given, queries(qkv, h), keys(qkv, h), values(qkv, h), queries(out, h).to(at::kBFloat16),
        seen.lse, starts, starts, rows.longest, rows.longest, 0.0, true, seen.seed, seen.unused,
        scale_of(h), window_of(h), after(h));
    queries(dqkv, h).copy_(dq);
    keys(dqkv, h).copy_(dk);
    values(dqkv, h).copy_(dv);
  }
  // false: the kernels refused, and both calls are given up. Too little memory is no refusal: what
  // computes it instead needs more.
  template <class Run>
  bool ran(const Run& run) {
    try {
      run();
      return true;
    } catch (const c10::OutOfMemoryError& e) {
      throw DeviceFailure(true, "the device has too little memory: " + first_line(e));
    } catch (const c10::Error& e) {
      give_up(Call::attention);
      give_up(Call::attention_backward);
      log::warn("libtorch's flash attention refuses, another computes it",
                {{"why", first_line(e)}});
      return false;
    }
  }
  Tensors t_;
};
}  // namespace

std::unique_ptr<ForwardOps> make_flash_ops(std::unique_ptr<Ops> base, const std::string& device) {
  return std::make_unique<FlashOps>(std::move(base), device);
}
}  // namespace kairo::gpu
