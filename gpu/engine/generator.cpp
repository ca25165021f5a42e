// gpu/engine/generator.cpp - the CPU generator: few rows go through a kernel that reads weights
// once, many rows (prompts) through BLAS; keys and values stay per slot.
#include "gpu/engine/generator.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "gpu/engine/attention_rows.h"
#include "gpu/engine/decoder_weights.h"
#include "gpu/engine/machine.h"
#include "gpu/engine/torch_cpu.h"
#include "gpu/kernels/rmsnorm.h"
#include "gpu/kernels/rope.h"
#include "gpu/kernels/skinny_matmul.h"
#include "gpu/kernels/softmax.h"
#include "gpu/kernels/swiglu.h"
#include "gpu/model/rope_table.h"

namespace kairo::gpu {
namespace {
constexpr std::int64_t skinny_rows_max = 16;  // above, BLAS is faster

// Consecutive rows of the batch that belong to one feed.
struct Range {
  int slot, adapter;
  std::int64_t begin, rows, past;  // past: tokens already in the slot
};
struct Slot {
  std::int64_t length = 0;
  int adapter = -1;
};

class CpuGenerator final : public Generator {
 public:
  CpuGenerator(const ModelConfig& config, DecoderWeights weights,
               std::vector<DecoderAdapter> adapters, const GeneratorOptions& o, int threads)
      : config_(config),
        weights_(std::move(weights)),
        adapters_(std::move(adapters)),
        context_(o.context_tokens),
        threads_(threads),
        rope_(make_rope_table(config.rope, config.head_dim, o.context_tokens)),
        kv_columns_(config.kv_heads * config.head_dim),
        keys_(o.slots * config.layers * context_ * kv_columns_, Pages::small),
        values_(o.slots * config.layers * context_ * kv_columns_, Pages::small),
        scores_(threads * query_block * context_),
        slots_(static_cast<std::size_t>(o.slots)) {}

  Result<std::span<const float>> feed(std::span<const Feed> feeds) override {
    TRY(check(feeds));
    set_threads(
        threads_);  // OpenMP keeps the number per calling thread, and that may be another one
    place(feeds);
    const auto T = static_cast<std::int64_t>(positions_.size());
    reserve(T, static_cast<std::int64_t>(feeds.size()));
    std::int64_t row = 0;
    for (const auto& f : feeds)
      for (const auto token : f.tokens)
        std::copy_n(weights_.embedding() + token * config_.hidden, config_.hidden,
                    x_.data() + row++ * config_.hidden);
    for (std::int64_t l = 0; l < config_.layers; ++l) layer(l, T);
    const auto H = config_.hidden, n = static_cast<std::int64_t>(ranges_.size());
    for (std::int64_t i = 0; i < n; ++i) {
      const Range& r = ranges_[static_cast<std::size_t>(i)];
      std::copy_n(x_.data() + (r.begin + r.rows - 1) * H, H, last_.data() + i * H);
      slots_[static_cast<std::size_t>(r.slot)] = {r.past + r.rows, r.adapter};
    }
    rmsnorm_cpu(normed_.data(), H, inverse_.data(), last_.data(), weights_.final_norm(), n, H,
                config_.norm_eps);
    product(logits_.data(), config_.vocab, normed_.data(), weights_.head(), n, H);
    return std::span<const float>(logits_.data(), static_cast<std::size_t>(n * config_.vocab));
  }
  void reset(int slot) override {
    if (slot >= 0 && slot < slots()) slots_[static_cast<std::size_t>(slot)] = {};
  }
  int length(int slot) const override {
    if (slot < 0 || slot >= slots()) return 0;
    return static_cast<int>(slots_[static_cast<std::size_t>(slot)].length);
  }
  int slots() const override { return static_cast<int>(slots_.size()); }
  int context_tokens() const override { return static_cast<int>(context_); }
  int vocab() const override { return static_cast<int>(config_.vocab); }

 private:
  Status check(std::span<const Feed> feeds) const {
    const auto bad = [](const std::string& why) { return Error{Code::invalid, "feed: " + why}; };
    if (feeds.empty()) return bad("nothing to run");
    std::vector<bool> seen(slots_.size());
    for (const auto& f : feeds) {
      const std::string slot = "slot " + std::to_string(f.slot);
      if (f.slot < 0 || f.slot >= slots()) return bad(slot + " does not exist");
      const auto at = static_cast<std::size_t>(f.slot);
      if (seen[at]) return bad(slot + " appears twice");
      seen[at] = true;
      if (f.tokens.empty()) return bad(slot + " gets no token");
      if (f.adapter < -1 || f.adapter >= static_cast<int>(adapters_.size()))
        return bad("adapter " + std::to_string(f.adapter) + " does not exist");
      if (slots_[at].length > 0 && slots_[at].adapter != f.adapter)
        return bad(slot + " changes its adapter: reset it first");
      if (slots_[at].length + static_cast<std::int64_t>(f.tokens.size()) > context_)
        return bad(slot + " is full: " + std::to_string(slots_[at].length) + " of " +
                   std::to_string(context_) + " tokens, " + std::to_string(f.tokens.size()) +
                   " more do not fit");
      for (const auto token : f.tokens)
        if (token < 0 || token >= config_.vocab)
          return bad("token " + std::to_string(token) + " is not in the vocabulary");
    }
    return ok();
  }
  void place(std::span<const Feed> feeds) {
    ranges_.clear();
    positions_.clear();
    for (const auto& f : feeds) {
      const std::int64_t past = slots_[static_cast<std::size_t>(f.slot)].length;
      const auto rows = static_cast<std::int64_t>(f.tokens.size());
      ranges_.push_back(
          {f.slot, f.adapter, static_cast<std::int64_t>(positions_.size()), rows, past});
      for (std::int64_t i = 0; i < rows; ++i)
        positions_.push_back(static_cast<std::int32_t>(past + i));
    }
  }
  // Buffers grow to the largest batch seen.
  void reserve(std::int64_t T, std::int64_t feeds) {
    const auto grow = [](Buffer& b, std::int64_t floats) {
      if (b.size() < floats) b = Buffer(floats);
    };
    const std::int64_t attention = config_.heads * config_.head_dim, rows = std::max(T, feeds);
    grow(x_, T * config_.hidden);
    grow(normed_, rows * config_.hidden);
    grow(inverse_, rows);
    grow(qkv_, T * (attention + 2 * kv_columns_));
    grow(mixed_, T * attention);
    grow(delta_, T * config_.hidden);
    grow(gate_up_, T * 2 * config_.intermediate);
    grow(gated_, T * config_.intermediate);
    grow(last_, feeds * config_.hidden);
    grow(logits_, feeds * config_.vocab);
    std::int64_t rank = 1;
    for (const auto& a : adapters_) rank = std::max(rank, a.rank);
    grow(low_rank_, T * rank);
  }
  // y (T, out; stride ld_y) = x (T, in) w^T
  void product(float* y, std::int64_t ld_y, const float* x, const float* w, std::int64_t T,
               std::int64_t in, std::int64_t out = 0) {
    const std::int64_t columns = out == 0 ? ld_y : out;
    if (T <= skinny_rows_max)
      skinny_matmul_cpu(y, x, w, {T, columns, in, in, in, ld_y});
    else
      gemm({false, true, T, columns, in, x, in, w, in, y, ld_y});
  }
  // A module of the layer for all rows, then each range's adapter on top.
  void linear(float* y, std::int64_t ld_y, const float* x, std::int64_t l, Module m,
              std::int64_t T) {
    const LinearShape s = shape_of(config_, m);
    product(y, ld_y, x, weights_.module(l, m), T, s.in, s.out);
    for (std::size_t i = 0; i < ranges_.size();) {
      const Range& first = ranges_[i];
      std::int64_t rows = 0;  // neighbours with the same adapter go together
      for (; i < ranges_.size() && ranges_[i].adapter == first.adapter; ++i)
        rows += ranges_[i].rows;
      if (first.adapter < 0) continue;
      const auto& adapter = adapters_[static_cast<std::size_t>(first.adapter)];
      const auto& pair = adapter.layers[static_cast<std::size_t>(l)][index_of(m)];
      if (pair.a.empty()) continue;
      const std::int64_t r = adapter.rank;
      gemm({false, true, rows, r, s.in, x + first.begin * s.in, s.in, pair.a.data(), s.in,
            low_rank_.data(), r});
      gemm({false, true, rows, s.out, r, low_rank_.data(), r, pair.b.data(), r,
            y + first.begin * ld_y, ld_y, 1.0f, 1.0f});
    }
  }
  // Keys of one slot, layer and head: (context, head_dim), dense.
  std::int64_t cache_at(int slot, std::int64_t l, std::int64_t kv_head) const {
    return ((slot * config_.layers + l) * config_.kv_heads + kv_head) * context_ * config_.head_dim;
  }
  void remember(std::int64_t l) {
    const std::int64_t D = config_.head_dim, q = config_.heads * D, ld = q + 2 * kv_columns_;
    for (const Range& r : ranges_)
      for (std::int64_t h = 0; h < config_.kv_heads; ++h) {
        const std::int64_t at = cache_at(r.slot, l, h) + r.past * D;
        for (std::int64_t t = 0; t < r.rows; ++t) {
          const float* row = qkv_.data() + (r.begin + t) * ld + q + h * D;
          std::copy_n(row, D, keys_.data() + at + t * D);
          std::copy_n(row + kv_columns_, D, values_.data() + at + t * D);
        }
      }
  }
  void attend(std::int64_t l) {
    const std::int64_t D = config_.head_dim, q = config_.heads * D, ld = q + 2 * kv_columns_;
    const std::int64_t work = static_cast<std::int64_t>(ranges_.size()) * config_.heads;
    const float scale = 1.0f / std::sqrt(static_cast<float>(D));
#pragma omp parallel for schedule(dynamic) num_threads(threads_)
    for (std::int64_t i = 0; i < work; ++i) {
      const Range& r = ranges_[static_cast<std::size_t>(i / config_.heads)];
      const std::int64_t head = i % config_.heads;
      const std::int64_t at = cache_at(r.slot, l, head / (config_.heads / config_.kv_heads));
      float* scores = scores_.data() + omp_get_thread_num() * query_block * context_;
      for (std::int64_t t = 0; t < r.rows; t += query_block) {
        const std::int64_t rows = std::min(query_block, r.rows - t), keys = r.past + t + rows;
        gemm({false, true, rows, keys, D, qkv_.data() + (r.begin + t) * ld + head * D, ld,
              keys_.data() + at, D, scores, keys});
        causal_softmax_cpu(scores, {rows, keys, r.past + t}, scale);
        gemm({false, false, rows, D, keys, scores, keys, values_.data() + at, D,
              mixed_.data() + (r.begin + t) * q + head * D, q});
      }
    }
  }
  void add_delta(std::int64_t T) {
    const std::int64_t n = T * config_.hidden;
    float* x = x_.data();
    const float* d = delta_.data();
    for (std::int64_t i = 0; i < n; ++i) x[i] += d[i];
  }
  void layer(std::int64_t l, std::int64_t T) {
    const auto& c = config_;
    const std::int64_t q = c.heads * c.head_dim, ld = q + 2 * kv_columns_;
    rmsnorm_cpu(normed_.data(), c.hidden, inverse_.data(), x_.data(), weights_.input_norm(l), T,
                c.hidden, c.norm_eps);
    linear(qkv_.data(), ld, normed_.data(), l, Module::q, T);
    linear(qkv_.data() + q, ld, normed_.data(), l, Module::k, T);
    linear(qkv_.data() + q + kv_columns_, ld, normed_.data(), l, Module::v, T);
    rope_cpu(qkv_.data(), rope_.cos.data(), rope_.sin.data(), positions_.data(),
             {T, c.heads + c.kv_heads, c.head_dim, ld}, false);
    remember(l);
    attend(l);
    linear(delta_.data(), c.hidden, mixed_.data(), l, Module::o, T);
    add_delta(T);
    rmsnorm_cpu(normed_.data(), c.hidden, inverse_.data(), x_.data(),
                weights_.post_attention_norm(l), T, c.hidden, c.norm_eps);
    linear(gate_up_.data(), 2 * c.intermediate, normed_.data(), l, Module::gate, T);
    linear(gate_up_.data() + c.intermediate, 2 * c.intermediate, normed_.data(), l, Module::up, T);
    swiglu_cpu(gated_.data(), c.intermediate, gate_up_.data(), T, c.intermediate);
    linear(delta_.data(), c.hidden, gated_.data(), l, Module::down, T);
    add_delta(T);
  }

  ModelConfig config_;
  DecoderWeights weights_;
  std::vector<DecoderAdapter> adapters_;
  std::int64_t context_;
  int threads_;  // scores_ has room for these
  RopeTable rope_;
  std::int64_t kv_columns_;
  Buffer keys_, values_, scores_;  // (slots, layers, kv_heads, context, head_dim) twice; scratch
  Buffer x_, normed_, inverse_, qkv_, mixed_, delta_, gate_up_, gated_, last_, logits_, low_rank_;
  std::vector<Slot> slots_;
  std::vector<Range> ranges_;
  std::vector<std::int32_t> positions_;
};
}  // namespace

Result<std::unique_ptr<Generator>> Generator::load(const GeneratorOptions& o) {
  const ModelConfig config = TRY(load_model_config(o.model_dir));
  const auto bad = [](const std::string& why) { return Error{Code::invalid, "generator: " + why}; };
  if (o.slots < 1 || o.slots > 4096) return bad("slots is out of range [1, 4096]");
  if (o.context_tokens < 1 || o.context_tokens > config.positions)
    return bad("context_tokens " + std::to_string(o.context_tokens) +
               " is out of the model's range [1, " + std::to_string(config.positions) + "]");
  const std::int64_t cache =
      8 * o.slots * config.layers * o.context_tokens * config.kv_heads * config.head_dim;
  if (cache > available_bytes())
    return Error{Code::unavailable, "generator: " + std::to_string(cache >> 20) +
                                        " MiB of keys and values do not fit the memory; lower "
                                        "slots or context_tokens"};
  std::vector<DecoderAdapter> adapters;
  for (std::size_t i = 0; i < o.adapters.size(); ++i) {
    for (std::size_t k = 0; k < i; ++k)
      if (o.adapters[k].name == o.adapters[i].name)
        return bad("two adapters are named " + o.adapters[i].name);
    adapters.push_back(TRY(load_decoder_adapter(o.adapters[i], config)));
  }
  DecoderWeights weights = TRY(DecoderWeights::load(o.model_dir, config));
  const int threads = o.threads > 0 ? o.threads : usable_cores();
  set_threads(threads);
  return std::unique_ptr<Generator>(
      std::make_unique<CpuGenerator>(config, std::move(weights), std::move(adapters), o, threads));
}
}  // namespace kairo::gpu
