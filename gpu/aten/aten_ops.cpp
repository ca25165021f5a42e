// gpu/aten/aten_ops.cpp - the seam's calls over a device's memory.
#include "gpu/aten/aten_ops.h"

#include <ATen/Parallel.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <map>
#include <type_traits>
#include <vector>

#include "gpu/aten/attention.h"
#include "gpu/aten/device_memory.h"
#include "gpu/aten/frozen.h"
#include "gpu/aten/parts.h"
#include "gpu/aten/side_copy.h"
#include "gpu/engine/device.h"

namespace kairo::gpu {
namespace {
constexpr std::int64_t factor_at_once = 1 << 24;  // of a factor in bf16 that is widened

at::Tensor turned_as(const Tensors& t, const Factor& f) {
  const at::Tensor m = t.of(f.mat);
  return f.turned ? m.t() : m;
}

class AtenOps final : public Ops {
 public:
  AtenOps(at::Device device, std::shared_ptr<DeviceMemory> memory, int threads)
      : t_(device), memory_(std::move(memory)), owner_(*this), threads_(threads) {
    enter();
    on_device([&] {
      tables_ = std::make_unique<aten::Nf4Tables>(t_);
      sums_in_fp32_ = multiplies_to_fp32();
    });
  }

  void enter() override {
    at::set_num_threads(threads_);
    placed_.clear();
  }

  Buffer make(std::int64_t floats, Pages) override { return taken(4 * floats); }
  Buffer adopt(Buffer host) override { return held(host.data(), 4 * host.size()); }
  Buffer held(const void* host, std::int64_t bytes) override {
    Buffer out = taken(bytes);
    on_device([&] { t_.flat(out.data(), at::kByte, bytes).copy_(of_host(host, bytes)); });
    return out;
  }
  const void* placed_bytes(const void* host, std::int64_t bytes) override {
    Buffer out = held(host, bytes);
    const void* data = out.data();
    placed_[data] = {std::move(out), host};
    return data;
  }
  const float* seen(const Mat& m) override {
    KAIRO_ASSERT(m.is_dense() && m.type == Type::f32, "what is seen lies in one piece, in fp32");
    std::vector<float>& copy = seen_[m.data];
    copy.resize(static_cast<std::size_t>(m.rows * m.cols));
    const std::int64_t bytes = 4 * m.rows * m.cols;
    on_device([&] { of_host(copy.data(), bytes).copy_(t_.flat(m.data, at::kByte, bytes)); });
    return copy.data();
  }

  Buffer make_host(std::int64_t floats) override {
    return t_.device().is_cpu() ? Buffer(floats) : on_device([&] { return pinned_.take(floats); });
  }
  std::unique_ptr<Copying> copy_out(float* host, const Mat& m) override {
    KAIRO_ASSERT(m.is_dense() && m.type == Type::f32, "what is copied lies in one piece, in fp32");
    const std::int64_t bytes = 4 * m.rows * m.cols;
    return on_device([&]() -> std::unique_ptr<Copying> {
      const at::Tensor to = of_host(host, bytes), from = t_.flat(m.data, at::kByte, bytes);
      if (!t_.device().is_cpu()) return std::make_unique<SideCopy>(to, from);
      to.copy_(from);
      return nullptr;
    });
  }

  void gemm(const Mat& c, const Factor& a, const Factor& b, float alpha, float beta) override {
    KAIRO_ASSERT(a.mat.type == b.mat.type, "both factors are of one type");
    KAIRO_ASSERT(c.type == Type::f32 || beta == 0, "only fp32 is added to");
    on_device([&] {
      const at::Tensor left = turned_as(t_, a), right = turned_as(t_, b);
      const at::Tensor to = t_.of(c);
      const at::Tensor sums =
          c.type == Type::f32 ? to : at::empty({c.rows, c.cols}, t_.options(at::kFloat));
      multiply(sums, left, right, alpha, beta);
      if (c.type != Type::f32) to.copy_(sums);
    });
  }
  void frozen(const Mat& y, const Mat& x, std::span<const Frozen> stacked) override {
    on_device([&] { aten::product(t_, *tables_, y, x, stacked); });
  }
  void add_low_rank(const Mat& y, const Mat& low, const Mat& b,
                    std::span<const LowRankPart> parts) override {
    on_device([&] { aten::add_low_rank(t_, y, low, b, parts); });
  }

  void zero(const Mat& m) override {
    on_device([&] { t_.of(m).zero_(); });
  }
  void copy(const Mat& to, const Mat& from, float scale) override {
    on_device([&] {
      const at::Tensor values = t_.of(from);
      if (scale != 1)
        t_.of(to).copy_(values.mul(scale));
      else if (to.data != from.data || to.type != from.type)
        t_.of(to).copy_(values);
    });
  }
  void add(const Mat& to, const Mat& from, float scale) override {
    on_device([&] { t_.of(to).add_(t_.of(from), scale); });
  }
  void add_row(const Mat& to, const Mat& row) override {
    on_device([&] { t_.of(to).add_(t_.row(row)); });
  }
  void gather(const Mat& to, const Mat& from, const std::int32_t* rows) override {
    on_device([&] { t_.of(to).copy_(t_.of(from).index_select(0, t_.indices(rows, to.rows))); });
  }
  void scatter(const Mat& to, const Mat& from, const std::int32_t* rows) override {
    on_device(
        [&] { t_.of(to).index_copy_(0, t_.indices(rows, from.rows).to(at::kLong), t_.of(from)); });
  }
  void decode(const Mat& to, const Frozen& from, const std::int32_t* rows) override {
    on_device(
        [&] { t_.of(to).copy_(aten::rows_of(t_, *tables_, from, t_.indices(rows, to.rows))); });
  }
  void dequantise(const Mat& to, const Nf4View& from) override {
    on_device([&] { t_.of(to).copy_(values_of(from, to.rows, to.cols, to.type)); });
  }

  void norm(const Mat& out, const Mat& inverse, const Mat& x, const Mat& weight,
            float eps) override {
    on_device([&] { aten::norm(t_, out, inverse, x, weight, eps); });
  }
  void norm_backward(const Mat& dx, const Mat& dout, const Mat& x, const Mat& inverse,
                     const Mat& weight, bool add) override {
    on_device([&] { aten::norm_backward(t_, dx, dout, x, inverse, weight, add); });
  }
  void layer_norm(const Mat& out, const Mat& inverse, const Mat& x, const Mat& weight,
                  const Mat& bias, float eps) override {
    on_device([&] { aten::layer_norm(t_, out, inverse, x, weight, bias, eps); });
  }
  void layer_norm_backward(const Mat& dx, const Mat& dout, const Mat& x, const Mat& inverse,
                           const Mat& weight) override {
    on_device([&] { aten::layer_norm_backward(t_, dx, dout, x, inverse, weight); });
  }
  void rope(const Mat& x, const RopeMats& table, const std::int32_t* angles, std::int64_t dim,
            bool inverse) override {
    on_device([&] { aten::rope(t_, x, table, angles, dim, inverse); });
  }
  void attention(const Mat& out, const Mat& qkv, const Heads& heads, const Ragged& rows) override {
    on_device([&] { aten::attention(t_, out, qkv, heads, starts_of(rows)); });
  }
  void attention_backward(const Mat& dqkv, const Mat& dout, const Mat& out, const Mat& qkv,
                          const Heads& heads, const Ragged& rows) override {
    on_device([&] { aten::attention_backward(t_, dqkv, dout, out, qkv, heads, starts_of(rows)); });
  }
  void cached_attention(const Mat& out, const Mat& qkv, const Heads& heads, const Ragged& rows,
                        const KvCache& cache, std::int64_t layer) override {
    on_device([&] {
      aten::cached_attention(t_, out, qkv, heads,
                             {starts_of(rows), host_of(rows.positions), host_of(cache.slots)},
                             cache, layer);
    });
  }
  void gate(const Mat& out, const Mat& gate_up, const Mat& from, Activation how) override {
    on_device([&] {
      if (gate_up.data != from.data) t_.of(gate_up).copy_(t_.of(from));
      aten::gate(t_, out, gate_up, how);
    });
  }
  void gate_backward(const Mat& gate_up, const Mat& dout, Activation how) override {
    on_device([&] { aten::gate_backward(t_, gate_up, dout, how); });
  }
  void dropout(const Mat& out, const Mat& x, const DropoutMask& mask) override {
    on_device([&] { aten::dropout(t_, out, x, mask, false); });
  }
  void dropout_add(const Mat& sum, const Mat& x, const DropoutMask& mask) override {
    on_device([&] { aten::dropout(t_, sum, x, mask, true); });
  }

  Mat cross_entropy(const Mat& logits, const Mat& loss, const std::int32_t* targets, float scale,
                    Type type, float cap) override {
    return on_device(
        [&] { return aten::cross_entropy(t_, logits, loss, targets, scale, type, cap); });
  }
  void softcap(const Mat& m, float cap) override {
    on_device([&] { aten::softcap(t_, m, cap); });
  }
  double length(const Mat& flat) override {
    return on_device([&] { return aten::length(t_, flat); });
  }
  void adamw(const Mat& p, const Mat& g, const Mat& m, const Mat& v,
             const AdamwStep& step) override {
    on_device([&] { aten::adamw(t_, p, g, m, v, step); });
  }

 private:
  // Runs a call's operators.
  template <class Run>
  std::invoke_result_t<const Run&> on_device(const Run& run) {
    const Kernel kernel(*this);
    try {
      return run();
    } catch (const c10::OutOfMemoryError& e) {
      throw DeviceFailure(true, std::string("the device has too little memory: ") +
                                    first_line(e.what_without_backtrace()));
    } catch (const c10::Error& e) {
      throw DeviceFailure(
          false, std::string("the device failed: ") + first_line(e.what_without_backtrace()));
    }
  }
  static std::string first_line(std::string text) { return text.substr(0, text.find('\n')); }
  class Kernel {
   public:
    explicit Kernel(AtenOps& ops) : memory_(*ops.memory_) { memory_.open(); }
    Kernel(const Kernel&) = delete;
    Kernel& operator=(const Kernel&) = delete;
    ~Kernel() { memory_.close(); }

   private:
    c10::InferenceMode no_gradients_;
    DeviceMemory& memory_;
  };
  // Forgets what was seen of memory that goes.
  struct Owner final : BufferOwner {
    explicit Owner(AtenOps& of) : ops(of) {}
    void give_back(void* data) override {
      const auto size = ops.sizes_.find(data);
      const auto* end = static_cast<const char*>(data) + size->second;
      ops.seen_.erase(ops.seen_.lower_bound(data), ops.seen_.lower_bound(end));
      ops.sizes_.erase(size);
      ops.memory_->give_back(data);
    }
    AtenOps& ops;
  };
  struct Placed {
    Buffer copy;
    const void* host;
  };
  Buffer taken(std::int64_t bytes) {
    void* data = on_device([&] { return memory_->take(bytes); });
    sizes_[data] = std::max<std::int64_t>(bytes, 1);
    return {data, (bytes + 3) / 4, owner_};
  }
  static at::Tensor of_host(const void* data, std::int64_t bytes) {
    return at::from_blob(const_cast<void*>(data), {bytes}, at::kByte);
  }
  template <class T>
  const T* host_of(const T* placed) const {
    const auto found = placed_.find(placed);
    KAIRO_ASSERT(found != placed_.end(), "a round's small inputs were placed in that round");
    return static_cast<const T*>(found->second.host);
  }
  aten::Starts starts_of(const Ragged& rows) const {
    return {host_of(rows.starts), static_cast<std::size_t>(rows.segments + 1)};
  }
  at::Tensor values_of(const Nf4View& w, std::int64_t rows, std::int64_t cols, Type type) const {
    return aten::nf4_values(t_, *tables_, w, rows * cols, scalar_of(type)).view({rows, cols});
  }
  // Whether the device has products of bf16 whose result is fp32, with strides and sums as the
  // engine asks for them; the CPU has none.
  bool multiplies_to_fp32() const {
    if (t_.device().is_cpu()) return false;
    const at::Tensor a = at::empty({16, 24}, t_.options(at::kBFloat16)).zero_().narrow(1, 0, 16);
    at::Tensor sums = at::empty({16, 24}, t_.options(at::kFloat)).zero_().narrow(1, 0, 16);
    try {
      at::addmm_out(sums, sums, a, a.t(), at::kFloat, 1, 0.5);
      at::addmm_out(sums, sums, a.t(), a, at::kFloat, 0, 1);
    } catch (const c10::Error&) {
      return false;
    }
    return true;
  }
  // sums (fp32) = alpha a b + beta sums.
  void multiply(at::Tensor sums, const at::Tensor& a, const at::Tensor& b, float alpha,
                float beta) const {
    if (a.scalar_type() == at::kFloat) {
      at::addmm_out(sums, sums, a, b, beta, alpha);
    } else if (sums_in_fp32_) {
      at::addmm_out(sums, sums, a, b, at::kFloat, beta, alpha);
    } else {  // bf16 times bf16 is exact in fp32
      const at::Tensor left = wide(a);
      const std::int64_t columns = sums.size(1),
                         step = std::max<std::int64_t>(
                             1, factor_at_once / std::max<std::int64_t>(1, b.size(0)));
      for (std::int64_t begin = 0; begin < columns; begin += step) {
        const std::int64_t count = std::min(step, columns - begin);
        at::Tensor part = sums.narrow(1, begin, count);
        at::addmm_out(part, part, left, wide(b.narrow(1, begin, count)), beta, alpha);
      }
    }
  }

  Tensors t_;
  std::shared_ptr<DeviceMemory> memory_;
  PinnedMemory pinned_;
  Owner owner_;
  int threads_;
  bool sums_in_fp32_ = false;
  std::unique_ptr<aten::Nf4Tables> tables_;
  std::map<const void*, std::int64_t> sizes_;  // of buffers, in bytes
  std::map<const void*, std::vector<float>> seen_;
  std::map<const void*, Placed> placed_;  // last: its buffers go first
};
}  // namespace

std::unique_ptr<Ops> make_aten_ops(const std::string& device, int threads) {
  return make_aten_ops(device, threads, memory_of(device));
}
std::unique_ptr<Ops> make_aten_ops(const std::string& device, int threads,
                                   std::shared_ptr<DeviceMemory> memory) {
  return std::make_unique<AtenOps>(at::Device(device), std::move(memory), threads);
}
}  // namespace kairo::gpu
