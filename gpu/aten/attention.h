// gpu/aten/attention.h - causal grouped-query attention as products and softmax of blocks, on any
// device; contracts as in gpu/engine/ops.h, but that what is here called `host` is the host's.
#pragma once
#include <span>

#include "gpu/aten/tensors.h"

namespace kairo::gpu::aten {
using Starts = std::span<const std::int32_t>;  // host: (segments + 1)
void attention(const Tensors& t, const Mat& out, const Mat& qkv, const Heads& heads, Starts starts);
void attention_backward(const Tensors& t, const Mat& dqkv, const Mat& dout, const Mat& out,
                        const Mat& qkv, const Heads& heads, Starts starts);
struct CachedSegments {
  Starts starts;
  const std::int32_t *positions, *slots;  // host: as Ragged's and KvCache's
};
void cached_attention(const Tensors& t, const Mat& out, const Mat& qkv, const Heads& heads,
                      const CachedSegments& segments, const KvCache& cache, std::int64_t layer);
}  // namespace kairo::gpu::aten
