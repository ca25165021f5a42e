// gpu/engine/generator.cpp - rounds of a batch over the slots' keys and values.
#include "gpu/engine/generator.h"

#include <algorithm>
#include <utility>

#include "gpu/engine/batch.h"
#include "gpu/engine/layer.h"
#include "gpu/engine/machine.h"
#include "gpu/engine/served_linears.h"
#include "gpu/kernels/cached_attention.h"
#include "gpu/model/rope_table.h"

namespace kairo::gpu {
namespace {
struct Slot {
  std::vector<std::int32_t> tokens{};  // whose keys and values are cached
  int adapter = -1;
  std::int64_t length() const { return static_cast<std::int64_t>(tokens.size()); }
};

Result<ServedAdapterPtr> read_adapter(const AdapterSource& source, const ModelConfig& config) {
  return std::make_shared<ServedAdapter>(TRY(load_served_adapter(source, config)));
}

class SlotGenerator final : public Generator {
 public:
  SlotGenerator(std::unique_ptr<Ops> ops, const ModelConfig& config, Weights weights,
                std::vector<ServedAdapterPtr> adapters, const GeneratorOptions& o)
      : ops_(std::move(ops)),
        config_(config),
        weights_(std::move(weights)),
        context_(o.context_tokens),
        linears_(*ops_, config_, weights_),
        layers_(*ops_, config_, weights_, context_),
        keys_(ops_->make(o.slots * slot_rows() * config_.head_dim, Pages::small)),
        values_(ops_->make(o.slots * slot_rows() * config_.head_dim, Pages::small)),
        slots_(static_cast<std::size_t>(o.slots)) {
    for (auto& adapter : adapters) linears_.add(std::move(adapter));
  }

  Result<std::span<const float>> feed(std::span<const Feed> feeds) override {
    TRY(check(feeds));
    return caught([&] { return run(feeds); });
  }
  std::span<const std::int32_t> tokens(int slot) const override {
    if (!has(slot)) return {};
    return slots_[static_cast<std::size_t>(slot)].tokens;
  }
  int adapter(int slot) const override {
    return has(slot) ? slots_[static_cast<std::size_t>(slot)].adapter : -1;
  }
  void cut(int slot, int length) override {
    if (!has(slot)) return;
    Slot& of = slots_[static_cast<std::size_t>(slot)];
    of.tokens.resize(static_cast<std::size_t>(stays(of, length)));
    if (of.tokens.empty()) of.adapter = -1;
  }
  void copy(int from, int to, int length) override {
    if (!has(from) || !has(to) || from == to) return;
    const Slot& source = slots_[static_cast<std::size_t>(from)];
    const std::int64_t tokens = stays(source, length), dim = config_.head_dim;
    const std::int64_t heads = config_.layers * config_.kv_heads, apart = context_ * dim;
    ops_->enter();
    for (Buffer* cache : {&keys_, &values_}) {
      const auto of = [&](int slot) {
        return Mat::f32(cache->data() + slot * heads * apart, heads, tokens * dim, apart);
      };
      if (tokens > 0) ops_->copy(of(to), of(from));
    }
    Slot& target = slots_[static_cast<std::size_t>(to)];
    target.tokens.assign(source.tokens.begin(), source.tokens.begin() + tokens);
    target.adapter = tokens > 0 ? source.adapter : -1;
  }
  int turns_at() const override {
    const bool turns = is_long(config_.rope, context_);
    return static_cast<int>(turns ? config_.rope.original_positions : context_);
  }
  Result<ServedAdapterPtr> read(const AdapterSource& source) const override {
    return caught([&] { return read_adapter(source, config_); });
  }
  int add(ServedAdapterPtr adapter) override {
    ops_->enter();
    return linears_.add(std::move(adapter));
  }
  void drop(int adapter) override {
    if (!linears_.has(adapter)) return;
    for (Slot& slot : slots_)
      if (slot.adapter == adapter) slot = {};
    linears_.drop(adapter);
  }
  int slots() const override { return static_cast<int>(slots_.size()); }
  int context_tokens() const override { return static_cast<int>(context_); }
  int vocab() const override { return static_cast<int>(config_.vocab); }

 private:
  Result<std::span<const float>> run(std::span<const Feed> feeds) {
    ops_->enter();
    place(feeds);
    const auto n = static_cast<std::int64_t>(feeds.size());
    reserve(batch_.T(), n);
    const Ragged rows = batch_.placed(*ops_);
    const std::int64_t cached = static_cast<std::int64_t>(slots_.size()) * slot_rows();
    const KvCache cache = {Mat::f32(keys_.data(), cached, config_.head_dim),
                           Mat::f32(values_.data(), cached, config_.head_dim), config_.layers,
                           context_, ops_->placed(std::span<const std::int32_t>(slot_of_))};
    const Mat x = Mat::f32(x_.data(), batch_.T(), config_.hidden);
    layers_.embed(x, ops_->placed(std::span<const std::int32_t>(batch_.tokens)));
    for (std::int64_t l = 0; l < config_.layers; ++l)
      layers_.forward(x, activations_, x, l, rows, linears_, &cache);
    for (const Feed& f : feeds) {
      Slot& slot = slots_[static_cast<std::size_t>(f.slot)];
      slot.tokens.insert(slot.tokens.end(), f.tokens.begin(), f.tokens.end());
      slot.adapter = f.adapter;
    }
    return std::span<const float>(logits(x, n), static_cast<std::size_t>(n * config_.vocab));
  }
  bool has(int slot) const { return slot >= 0 && slot < slots(); }
  // Of the first `length` tokens: those of a long sequence have keys that a short one has not.
  std::int64_t stays(const Slot& slot, int length) const {
    const std::int64_t tokens = std::clamp<std::int64_t>(length, 0, slot.length());
    return is_long(config_.rope, slot.length()) == is_long(config_.rope, tokens) ? tokens : 0;
  }
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
      if (f.adapter != -1 && !linears_.has(f.adapter))
        return bad("adapter " + std::to_string(f.adapter) + " does not exist");
      if (slots_[at].length() > 0 && slots_[at].adapter != f.adapter)
        return bad(slot + " changes its adapter: reset it first");
      if (slots_[at].length() + static_cast<std::int64_t>(f.tokens.size()) > context_)
        return bad(slot + " is full: " + std::to_string(slots_[at].length()) + " of " +
                   std::to_string(context_) + " tokens, " + std::to_string(f.tokens.size()) +
                   " more do not fit");
      for (const auto token : f.tokens)
        if (token < 0 || token >= config_.vocab)
          return bad("token " + std::to_string(token) + " is not in the vocabulary");
    }
    return ok();
  }
  void place(std::span<const Feed> feeds) {
    batch_ = {};
    slot_of_.clear();
    last_of_.clear();
    std::vector<AdapterRows> runs;  // neighbours with the same adapter go together
    for (const auto& f : feeds) {
      const Slot& slot = slots_[static_cast<std::size_t>(f.slot)];
      const std::int64_t tokens = slot.length() + static_cast<std::int64_t>(f.tokens.size());
      // A sequence that has become long is computed anew: all of its keys turn otherwise now.
      const bool begins = is_long(config_.rope, tokens) && !is_long(config_.rope, slot.length());
      const std::int64_t first = begins ? 0 : slot.length(), rows = tokens - first;
      if (runs.empty() || runs.back().adapter != f.adapter)
        runs.push_back({f.adapter, batch_.T(), 0});
      runs.back().rows += rows;
      auto position = static_cast<std::int32_t>(first);
      const auto add = [&](std::int32_t token) {
        batch_.add(token, position, layers_.angle(position, tokens));
        ++position;
      };
      for (std::int64_t i = first; i < slot.length(); ++i)
        add(slot.tokens[static_cast<std::size_t>(i)]);
      for (const std::int32_t token : f.tokens) add(token);
      batch_.end_segment();
      slot_of_.push_back(f.slot);
      last_of_.push_back(batch_.starts.back() - 1);
    }
    linears_.use(std::move(runs));
  }
  // Buffers grow to the largest batch seen.
  void reserve(std::int64_t T, std::int64_t feeds) {
    if (x_.size() < T * config_.hidden) {
      x_ = ops_->make(T * config_.hidden);
      activations_ = layers_.allocate(T, linears_, Activations::passing);
      linears_.reserve(T);
    }
    if (last_.size() >= feeds * config_.hidden) return;
    last_ = ops_->make(feeds * config_.hidden);
    normed_ = ops_->make(feeds * config_.hidden);
    inverse_ = ops_->make(feeds);
    logits_ = ops_->make(feeds * config_.vocab);
  }
  // Of each segment's last row.
  const float* logits(const Mat& x, std::int64_t n) {
    const Mat last = Mat::f32(last_.data(), n, config_.hidden);
    const Mat normed = Mat::f32(normed_.data(), n, config_.hidden);
    const Mat out = Mat::f32(logits_.data(), n, config_.vocab);
    ops_->gather(last, x, ops_->placed(std::span<const std::int32_t>(last_of_)));
    norm(*ops_, normed, Mat::f32(inverse_.data(), n, 1), last, weights_.final_norm(),
         config_.norm_eps);
    ops_->frozen(out, normed, weights_.head());
    if (config_.logit_scale != 1) ops_->copy(out, out, config_.logit_scale);
    if (config_.logit_cap > 0) ops_->softcap(out, config_.logit_cap);
    return ops_->seen(out);
  }
  std::int64_t slot_rows() const { return config_.layers * config_.kv_heads * context_; }

  std::unique_ptr<Ops> ops_;
  ModelConfig config_;
  Weights weights_;
  std::int64_t context_;
  ServedLinears linears_;
  Layers layers_;
  Buffer keys_, values_;
  Buffer x_, last_, normed_, inverse_, logits_;
  LayerActivations activations_;
  std::vector<Slot> slots_;
  Batch batch_;
  std::vector<std::int32_t> slot_of_, last_of_;  // of each segment: its slot, its last row
};

Result<std::unique_ptr<Generator>> loaded(const GeneratorOptions& o) {
  const ModelConfig config = TRY(load_model_config(o.model_dir));
  const auto bad = [](const std::string& why) { return Error{Code::invalid, "generator: " + why}; };
  if (o.slots < 1 || o.slots > 4096) return bad("slots is out of range [1, 4096]");
  if (o.context_tokens < 1 || o.context_tokens > config.positions)
    return bad("context_tokens " + std::to_string(o.context_tokens) +
               " is out of the model's range [1, " + std::to_string(config.positions) + "]");
  const std::int64_t cache =
      8 * o.slots * config.layers * o.context_tokens * config.kv_heads * config.head_dim;
  const bool has_memory = o.device != nullptr && o.device->free_bytes > 0;
  if (cache > (has_memory ? o.device->free_bytes : available_bytes()))
    return Error{Code::unavailable, "generator: " + std::to_string(cache >> 20) +
                                        " MiB of keys and values do not fit the memory; lower "
                                        "slots or context_tokens"};
  std::vector<ServedAdapterPtr> adapters;
  for (std::size_t i = 0; i < o.adapters.size(); ++i) {
    for (std::size_t k = 0; k < i; ++k)
      if (o.adapters[k].name == o.adapters[i].name)
        return bad("two adapters are named " + o.adapters[i].name);
    adapters.push_back(TRY(read_adapter(o.adapters[i], config)));
  }
  const int threads = o.threads > 0 ? o.threads : usable_cores();
  std::unique_ptr<Ops> ops;
  if (o.device != nullptr)
    ops = TRY(o.device->make(threads));
  else
    ops = make_cpu_ops(threads, cached_attention_scratch(o.context_tokens, config.head_dim));
  WeightsOptions kept;
  if (o.weights == ServedWeights::nf4) kept.method = Method::qlora;
  Weights weights = TRY(Weights::load(*ops, o.model_dir, config, kept));
  return std::unique_ptr<Generator>(std::make_unique<SlotGenerator>(
      std::move(ops), config, std::move(weights), std::move(adapters), o));
}
}  // namespace

Result<std::unique_ptr<Generator>> Generator::load(const GeneratorOptions& options) {
  return caught([&] { return loaded(options); });
}
}  // namespace kairo::gpu
