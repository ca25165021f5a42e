// gpu/cuda/kernels.h - what libkairo_cuda.so offers: a launch for each call of the seam
// (gpu/engine/ops.h) but gemm. C functions over plain data, so that the
// library is opened at run time and needs nothing but CUDA's runtime.
#pragma once
#include <cstdint>

// Every launch queues its work on `stream` (a cudaStream_t; null: the default one) and returns
// before that is done: 0, or a code for kairo_cuda_error_text(). kairo_cuda_unfit means that
// nothing was queued, because these kernels do not take such shapes or types: another way must be
// taken. The contracts are those of ops.h; the CPU's kernels (gpu/kernels) are the definition, and
// sums may differ from them in their order alone. All pointers are the device's, aligned to their
// values, but for KairoLowRankParts, KairoAdamwStep and the views themselves, which are read at
// once. No aliasing unless a call says so. The same call gives the same bytes.
extern "C" {
enum : std::int32_t { kairo_f32 = 0, kairo_bf16 = 1, kairo_f16 = 2, kairo_nf4 = 3 };
enum : std::int32_t {  // GGUF's blocks (gpu/formats/stored.h), in its order
  kairo_q8_0 = 4,
  kairo_q4_0,
  kairo_q4_1,
  kairo_q5_0,
  kairo_q5_1,
  kairo_q4_k,
  kairo_q5_k,
  kairo_q6_k
};
enum : std::int32_t { kairo_swiglu = 0, kairo_geglu = 1, kairo_gelu = 2 };
enum : std::int32_t { kairo_cuda_abi_now = 3, kairo_cuda_unfit = -1 };
enum : std::int64_t { kairo_square_sum_scratch = 1024, kairo_low_rank_parts_max = 16 };

// (rows, cols), row-major; ld: values from one row to the next.
struct KairoMat {
  void* data;
  std::int32_t type;
  std::int64_t rows, cols, ld;
};
struct KairoNf4 {  // gpu/kernels/nf4.h; map: its dynamic_map(), 256 values
  const std::uint8_t *packed, *scales;
  const float *group_scales, *map;
  float offset;
};
struct KairoFrozen {  // gpu/kernels/frozen.h: (rows, cols), dense; kind: kairo_f32, ... kairo_q6_k
  const void* data;
  KairoNf4 nf4;
  std::int64_t rows, cols;
  std::int32_t kind;
};
struct KairoHeads {  // gpu/engine/mat.h, Heads
  std::int64_t queries, keys, dim, window;
  float scale, cap;
  std::int32_t interleaved;
};
struct KairoRagged {  // gpu/engine/mat.h, Ragged
  const std::int32_t *starts, *positions;
  std::int64_t segments, longest, tokens;
};
struct KairoCache {  // gpu/engine/mat.h, KvCache; rows of `dim` values in fp32, dense
  float *keys, *values;
  std::int64_t layers, context;
  const std::int32_t* slots;
};
struct KairoDropout {  // gpu/kernels/dropout.h, DropoutMask
  const std::uint64_t* keys;
  std::int64_t module;
  double p;
};
struct KairoLowRankParts {  // gpu/kernels/low_rank.h
  std::int64_t count, first[kairo_low_rank_parts_max], cols[kairo_low_rank_parts_max];
};
struct KairoAdamwStep {  // gpu/kernels/adamw.h, AdamwStep
  float learning_rate, beta1, beta2, eps, weight_decay, gradient_scale;
  std::int64_t step;
};

std::int32_t kairo_cuda_abi();  // kairo_cuda_abi_now of the header that it was built with
const char* kairo_cuda_error_text(std::int32_t code);

std::int32_t kairo_cuda_zero(KairoMat m, void* stream);
// Any types; perhaps to itself. Only fp32 is scaled.
std::int32_t kairo_cuda_copy(KairoMat to, KairoMat from, float scale, void* stream);
std::int32_t kairo_cuda_add(KairoMat to, KairoMat from, float scale, void* stream);
std::int32_t kairo_cuda_add_row(KairoMat to, KairoMat row, void* stream);
std::int32_t kairo_cuda_gather(KairoMat to, KairoMat from, const std::int32_t* rows, void* stream);
std::int32_t kairo_cuda_scatter(KairoMat to, KairoMat from, const std::int32_t* rows, void* stream);
std::int32_t kairo_cuda_softcap(KairoMat m, float cap, void* stream);
// All of a matrix whose rows lie one behind the other, or the rows that are named.
std::int32_t kairo_cuda_dequantise(KairoMat to, KairoNf4 from, void* stream);
std::int32_t kairo_cuda_decode_nf4(KairoMat to, KairoNf4 from, const std::int32_t* rows,
                                   void* stream);

// Rows of a matrix in blocks, whose data is aligned to 2.
std::int32_t kairo_cuda_decode_blocks(KairoMat to, KairoFrozen from, const std::int32_t* rows,
                                      void* stream);

// y = x w^T in fp32. No row changes a bit of another's. Columns in whole eights, data aligned to 16
// bytes, NF4's to 4, blocks to 2.
std::int32_t kairo_cuda_frozen(KairoMat y, KairoMat x, KairoFrozen w, void* stream);

std::int32_t kairo_cuda_norm(KairoMat out, KairoMat inverse, KairoMat x, KairoMat weight, float eps,
                             void* stream);
// add: 0 or 1. Without it dx may be dout.
std::int32_t kairo_cuda_norm_backward(KairoMat dx, KairoMat dout, KairoMat x, KairoMat inverse,
                                      KairoMat weight, std::int32_t add, void* stream);
std::int32_t kairo_cuda_layer_norm(KairoMat out, KairoMat inverse, KairoMat x, KairoMat weight,
                                   KairoMat bias, float eps, void* stream);
std::int32_t kairo_cuda_layer_norm_backward(KairoMat dx, KairoMat dout, KairoMat x,
                                            KairoMat inverse, KairoMat weight, void* stream);
// inverse: 0 or 1.
std::int32_t kairo_cuda_rope(KairoMat x, KairoMat cos, KairoMat sin, const std::int32_t* angles,
                             std::int64_t dim, std::int32_t inverse, void* stream);
// `from` may be gate_up; then it has its values already. how: kairo_swiglu, ...
std::int32_t kairo_cuda_gate(KairoMat out, KairoMat gate_up, KairoMat from, std::int32_t how,
                             void* stream);
std::int32_t kairo_cuda_gate_backward(KairoMat gate_up, KairoMat dout, std::int32_t how,
                                      void* stream);
std::int32_t kairo_cuda_dropout(KairoMat out, KairoMat x, KairoDropout mask, void* stream);
std::int32_t kairo_cuda_dropout_add(KairoMat sum, KairoMat x, KairoDropout mask, void* stream);
std::int32_t kairo_cuda_add_low_rank(KairoMat y, KairoMat low, KairoMat b,
                                     const KairoLowRankParts* parts, void* stream);

// Heads of up to 256 values. scratch of the backward pass: 2 * tokens * queries floats.
std::int32_t kairo_cuda_attention(KairoMat out, KairoMat qkv, KairoHeads heads, KairoRagged rows,
                                  void* stream);
std::int32_t kairo_cuda_attention_backward(KairoMat dqkv, KairoMat dout, KairoMat out, KairoMat qkv,
                                           KairoHeads heads, KairoRagged rows, float* scratch,
                                           void* stream);
std::int32_t kairo_cuda_cached_attention(KairoMat out, KairoMat qkv, KairoHeads heads,
                                         KairoRagged rows, KairoCache cache, std::int64_t layer,
                                         void* stream);

// The gradient lies in the logits' memory: in fp32 as they do, in bf16 with rows of 2 * ld values.
// In bf16 with scale 0 only the loss is made.
std::int32_t kairo_cuda_cross_entropy(KairoMat logits, KairoMat loss, const std::int32_t* targets,
                                      float scale, std::int32_t type, float cap, void* stream);
// sum: one value. scratch: kairo_square_sum_scratch values.
std::int32_t kairo_cuda_square_sum(double* sum, double* scratch, KairoMat flat, void* stream);
// The values of all adapters at once, which lie one behind the other.
std::int32_t kairo_cuda_adamw(KairoMat p, KairoMat g, KairoMat m, KairoMat v,
                              const KairoAdamwStep* step, void* stream);
}

// The names of all launches, for those who look them up: X(norm) stands for kairo_cuda_norm.
// clang-format off
#define KAIRO_CUDA_LAUNCHES(X)                                                                    \
  X(zero) X(copy) X(add) X(add_row) X(gather) X(scatter) X(softcap) X(dequantise) X(decode_nf4)   \
  X(decode_blocks) X(frozen) X(norm) X(norm_backward) X(layer_norm) X(layer_norm_backward)        \
  X(rope) X(gate) X(gate_backward) X(dropout) X(dropout_add) X(add_low_rank) X(attention)         \
  X(attention_backward) X(cached_attention) X(cross_entropy) X(square_sum) X(adamw)
// clang-format on
