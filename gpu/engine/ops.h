// gpu/engine/ops.h - THE SEAM: what the layers ask of a device. Trainer and generator run the same
// layer over it; a device is one class behind it. cpu_ops.cpp is the definition of every call.
#pragma once
#include <cstdint>
#include <memory>
#include <span>

#include "gpu/engine/buffer.h"
#include "gpu/engine/mat.h"
#include "gpu/engine/products.h"
#include "gpu/formats/model_config.h"
#include "gpu/kernels/adamw.h"
#include "gpu/kernels/dropout.h"
#include "gpu/kernels/frozen.h"
#include "gpu/kernels/low_rank.h"
#include "gpu/kernels/nf4.h"

namespace kairo::gpu {
// A factor of a product, as it lies or turned.
struct Factor {
  Mat mat;
  bool turned = false;
  Factor(const Mat& m, bool is_turned = false) : mat(m), turned(is_turned) {}
};
inline Factor turned(const Mat& m) {
  return {m, true};
}
// Of values on their way to the host.
class Copying {
 public:
  virtual ~Copying() = default;
  // What is called from now on runs after it. Of the device's thread, as all calls.
  virtual void finish_first() = 0;
  virtual void wait() = 0;  // until the values are there; another thread may
};
// The first argument is what a call writes. Pointers and views are the device's, but for those that
// placed() takes and seen() gives. Calls run in their order; a value is there when seen() returns.
// No aliasing unless a call says so. One thread at a time; the same calls give the same bytes.
class Ops {
 public:
  virtual ~Ops() = default;
  // Before the first call of a round: the calling thread drives the device now.
  virtual void enter() = 0;

  // Memory. On a device whose memory is the host's nothing is copied.
  virtual Buffer make(std::int64_t floats, Pages pages = Pages::huge) = 0;
  virtual Buffer adopt(Buffer host) = 0;  // its values, where kernels read them
  // The same of what is only read, e.g. a mapped file's bytes at any alignment. Where nothing is
  // copied the host's must stay as long as what is returned.
  virtual Buffer held(const void* host, std::int64_t bytes) = 0;
  virtual const void* placed_bytes(const void* host, std::int64_t bytes) = 0;
  // Small inputs of one round, valid until the next enter(); they must stay as long.
  template <class T>
  const T* placed(std::span<const T> host) {
    return static_cast<const T*>(
        placed_bytes(host.data(), static_cast<std::int64_t>(host.size_bytes())));
  }
  // A dense view's values for the host, valid until the buffer is written again.
  virtual const float* seen(const Mat& m) = 0;
  // Memory of the host that copy_out() fills well; as its other memory for all else.
  virtual Buffer make_host(std::int64_t floats) = 0;
  // host = a dense view's values as they are now. The calls that follow may run beside it, up to
  // one that writes the view, before which there must be finish_first(). Null: they are there.
  virtual std::unique_ptr<Copying> copy_out(float* host, const Mat& m) = 0;

  // Products, with sums in fp32. Both factors are of one type.
  // c = alpha a b + beta c; c is not read when beta is 0, and then may be bf16.
  virtual void gemm(const Mat& c, const Factor& a, const Factor& b, float alpha = 1,
                    float beta = 0) = 0;
  // y = x w^T in fp32, of matrices that are stacked: their rows are the columns of y. No row
  // changes a bit of another's, and there may be any number of them.
  virtual void frozen(const Mat& y, const Mat& x, std::span<const Frozen> stacked) = 0;
  void frozen(const Mat& y, const Mat& x, const Frozen& w) { frozen(y, x, std::span(&w, 1)); }

  // What adapters add to modules that lie side by side in y, as gpu/kernels/low_rank.h says: y +=
  // low b, part by part. low: (T, parts * rank); b: (rank, columns of all parts).
  virtual void add_low_rank(const Mat& y, const Mat& low, const Mat& b,
                            std::span<const LowRankPart> parts) = 0;

  // Rows. copy and gather also write another type than they read: bf16 is the nearest, ties to
  // even.
  virtual void zero(const Mat& m) = 0;
  virtual void copy(const Mat& to, const Mat& from, float scale = 1) = 0;  // perhaps to itself
  virtual void add(const Mat& to, const Mat& from, float scale = 1) = 0;   // to += scale from
  virtual void add_row(const Mat& to, const Mat& row) = 0;  // row: (1, cols), to each
  // to[i] = from[rows[i]], and the other way about: to[rows[i]] = from[i]; rows differ.
  virtual void gather(const Mat& to, const Mat& from, const std::int32_t* rows) = 0;
  virtual void scatter(const Mat& to, const Mat& from, const std::int32_t* rows) = 0;
  virtual void decode(const Mat& to, const Frozen& from,
                      const std::int32_t* rows) = 0;  // as gather
  virtual void dequantise(const Mat& to, const Nf4View& from) = 0;

  // The layer's parts; shapes and formulas as in gpu/kernels/<name>.h. All is computed in fp32;
  // what products read lies in the type that they multiply: in bf16 may be out of norms and
  // attention, qkv (not dqkv), out of gate and gate_up, and of dropout both.
  // Rows are groups as wide as the weight, each normalised on its own. inverse: (T, groups), which
  // norm_backward wants again; with `add` it adds to dx, without dx may be dout.
  virtual void norm(const Mat& out, const Mat& inverse, const Mat& x, const Mat& weight,
                    float eps) = 0;
  virtual void norm_backward(const Mat& dx, const Mat& dout, const Mat& x, const Mat& inverse,
                             const Mat& weight, bool add) = 0;
  // One group; inverse: (T, 1); the gradient is added.
  virtual void layer_norm(const Mat& out, const Mat& inverse, const Mat& x, const Mat& weight,
                          const Mat& bias, float eps) = 0;
  virtual void layer_norm_backward(const Mat& dx, const Mat& dout, const Mat& x, const Mat& inverse,
                                   const Mat& weight) = 0;
  // x: (T, heads * dim), in place. angles: rows of the table. inverse: the gradient.
  virtual void rope(const Mat& x, const RopeMats& table, const std::int32_t* angles,
                    std::int64_t dim, bool inverse) = 0;
  // Causal attention of each segment over itself. out, dout: (T, queries * dim); qkv: (T,
  // heads.columns()), rotated. dqkv is overwritten.
  virtual void attention(const Mat& out, const Mat& qkv, const Heads& heads,
                         const Ragged& rows) = 0;
  virtual void attention_backward(const Mat& dqkv, const Mat& dout, const Mat& out, const Mat& qkv,
                                  const Heads& heads, const Ragged& rows) = 0;
  // The same over what the cache holds of the segment's slot and the segment, which is appended; as
  // frozen(), no row changes a bit of another's.
  virtual void cached_attention(const Mat& out, const Mat& qkv, const Heads& heads,
                                const Ragged& rows, const KvCache& cache, std::int64_t layer) = 0;
  // gate_up: (T, 2 C), gate first, or (T, C) without a gate; it first takes the values of `from`,
  // which may be itself. gate_backward replaces it by its gradient.
  virtual void gate(const Mat& out, const Mat& gate_up, const Mat& from, Activation how) = 0;
  virtual void gate_backward(const Mat& gate_up, const Mat& dout, Activation how) = 0;
  virtual void dropout(const Mat& out, const Mat& x, const DropoutMask& mask) = 0;
  virtual void dropout_add(const Mat& sum, const Mat& x, const DropoutMask& mask) = 0;

  // The end of a step. loss: (T, 1); logits (T, V), in fp32, are replaced by scale times their
  // gradient, which is returned: a view of their memory in the given type. cap: 0 or what bounds
  // the logits first, as softcap does.
  virtual Mat cross_entropy(const Mat& logits, const Mat& loss, const std::int32_t* targets,
                            float scale, Type type, float cap = 0) = 0;
  virtual void softcap(const Mat& m, float cap) = 0;  // m = cap tanh(m / cap)
  virtual double length(const Mat& flat) = 0;  // the root of the sum of squares, for the host
  virtual void adamw(const Mat& p, const Mat& g, const Mat& m, const Mat& v,
                     const AdamwStep& step) = 0;
};
// The CPU. scores: floats of attention's scratch for each thread (attention_rows.h says how many a
// row needs). products: of bf16 factors (products.h).
std::unique_ptr<Ops> make_cpu_ops(int threads, std::int64_t scores,
                                  Products products = Products::mkl);
}  // namespace kairo::gpu
