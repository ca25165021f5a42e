// gpu/engine/weights.cpp - mapping, copying, quantising.
#include "gpu/engine/weights.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "gpu/engine/torch_cpu.h"
#include "gpu/kernels/bf16.h"

namespace kairo::gpu {
Mat Weights::own(Buffer host, std::int64_t rows, std::int64_t cols, Type type) {
  owned_.push_back(ops_->adopt(std::move(host)));
  return Mat::of(type, owned_.back().data(), rows, cols);
}

template <class T>
const T* Weights::hold(std::vector<T>& host) {
  owned_.push_back(ops_->held(host.data(), static_cast<std::int64_t>(host.size() * sizeof(T))));
  const void* held = owned_.back().data();
  if (held != host.data()) host = {};
  return static_cast<const T*>(held);
}

Result<Mat> Weights::take(const std::string& name, std::int64_t width, bool may_map, float more) {
  const std::array<std::int64_t, 1> shape = {width};
  TRY(folder_->check(name, shape));  // before anything of that size is allocated
  if (const auto mapped = folder_->view(name, shape); may_map && more == 0 && !mapped.empty()) {
    owned_.push_back(ops_->held(mapped.data(), 4 * width));
    return Mat::f32(owned_.back().data(), 1, width);
  }
  Buffer copy(width);
  TRY(folder_->read(name, shape, copy.span()));
  for (float& value : copy.span()) value += more;
  return own(std::move(copy), 1, width);
}

Result<NormWeights> Weights::take_norm(const std::string& path, std::int64_t width, bool may_map) {
  NormWeights out;
  const float more = config_.norm == NormKind::rms_plus_one ? 1 : 0;
  out.weight = TRY(take(path + ".weight", width, may_map, more));
  if (config_.norm == NormKind::layer) out.bias = TRY(take(path + ".bias", width, may_map));
  return out;
}

Status Weights::read(const Mat& to, const std::string& name) {
  const std::array<std::int64_t, 2> shape = {to.rows, to.cols};
  TRY(folder_->check(name, shape));
  const auto stored = folder_->stored(name);
  const bool as_stored = stored.kind == Stored::bf16 && to.type == Type::bf16;
  std::span<const float> wide = folder_->view(name, shape);
  Buffer plain;
  if (wide.empty() && !as_stored) {
    plain = Buffer(to.rows * to.cols);
    TRY(folder_->read(name, shape, plain.span()));
    wide = plain.span();
  }
#pragma omp parallel for schedule(static)
  for (std::int64_t r = 0; r < to.rows; ++r) {
    void* row = to.rows_at(r, 1).data;
    if (as_stored)
      std::memcpy(row, stored.bytes.data() + 2 * r * to.cols,
                  static_cast<std::size_t>(2 * to.cols));
    else if (to.type == Type::bf16)
      narrow_cpu(static_cast<std::uint16_t*>(row), wide.data() + r * to.cols, to.cols);
    else
      std::copy_n(wide.data() + r * to.cols, to.cols, static_cast<float*>(row));
  }
  folder_->release(name);
  return ok();
}

Result<Frozen> Weights::map(const std::string& name, std::int64_t rows, std::int64_t cols) {
  const std::array<std::int64_t, 2> shape = {rows, cols};
  TRY(folder_->check(name, shape));
  const StoredTensor stored = folder_->stored(name);
  owned_.push_back(ops_->held(stored.bytes.data(), static_cast<std::int64_t>(stored.bytes.size())));
  const void* held = owned_.back().data();
  if (held != stored.bytes.data()) folder_->release(name);
  return Frozen::of(stored.kind, held, rows, cols);
}
Result<Frozen> Weights::take_table(const std::string& name, bool may_map) {
  if (may_map) return map(name, config_.vocab, config_.hidden);
  const std::array<std::int64_t, 2> shape = {config_.vocab, config_.hidden};
  TRY(folder_->check(name, shape));  // before anything of that size is allocated
  Buffer table(floats_of(type_, config_.vocab * config_.hidden));
  TRY(read(Mat::of(type_, table.data(), config_.vocab, config_.hidden), name));
  const Mat owned = own(std::move(table), config_.vocab, config_.hidden, type_);
  return Frozen::of(type_ == Type::f32 ? Stored::f32 : Stored::bf16, owned.data, owned.rows,
                    owned.cols);
}

Weights::Nf4Matrix Weights::quantised(std::span<const float> weights, LinearShape s) {
  const std::int64_t n = s.out * s.in;
  Nf4Matrix q;
  q.rows = s.out;
  q.cols = s.in;
  std::vector<float> absmax(static_cast<std::size_t>(nf4_blocks(n)));
  q.packed.resize(static_cast<std::size_t>(nf4_bytes(n)));
  q.scales.resize(absmax.size());
  q.group_scales.resize(static_cast<std::size_t>(nf4_groups(n)));
  nf4_quantize_cpu(q.packed.data(), absmax.data(), weights.data(), n);
  q.offset = mean(absmax);
  nf4_quantize_scales_cpu(q.scales.data(), q.group_scales.data(), absmax.data(), q.offset,
                          nf4_blocks(n));
  return q;
}

Result<const Weights::Nf4Matrix*> Weights::take_nf4(std::int64_t layer, Module m) {
  const LinearShape s = shape_of(config_, m);
  const std::string name = stored_path(config_, layer, m) + ".weight";
  const std::array<std::int64_t, 2> shape = {s.out, s.in};
  TRY(folder_->check(name, shape));  // before anything of that size is allocated
  Buffer plain(s.out * s.in);
  TRY(folder_->read(name, shape, plain.span()));
  folder_->release(name);
  Nf4Matrix& matrix = quantised_[static_cast<std::size_t>(layer)][index_of(m)];
  matrix = quantised(plain.span(), s);
  matrix.view = {hold(matrix.packed), hold(matrix.scales), hold(matrix.group_scales),
                 matrix.offset};
  return &matrix;
}

Status Weights::take_group(const ModelConfig& config, std::int64_t layer, Group g,
                           const LoraGroup& lora, const WeightsOptions& options) {
  const bool is_nf4 = options.method == Method::qlora;
  const std::int64_t size = floats_of(options.type, lora.out * lora.stride);
  Buffer matrix;
  if (!is_nf4) matrix = Buffer(size);
  Mat& whole = groups_[static_cast<std::size_t>(layer)][index_of(g)];
  whole = Mat::of(options.type, matrix.data(), lora.out, lora.stride);
  std::int64_t first = 0;
  for (const Module m : modules_of(config, g)) {
    const LinearShape s = shape_of(config, m);
    if (is_nf4)
      TRY(take_nf4(layer, m));
    else
      TRY(read(whole.rows_at(first, s.out).columns_at(0, s.in),
               stored_path(config, layer, m) + ".weight"));
    first += s.out;
  }
  if (!is_nf4) {
    whole = own(std::move(matrix), lora.out, lora.stride, options.type);
  } else if (layer >= config.layers - options.cached_layers) {
    auto& cached = cached_[static_cast<std::size_t>(layer)];
    cached.push_back(ops_->make(size));
    whole.data = cached.back().data();
    decode(whole, layer, g);
  }
  return ok();
}

Status Weights::take_biases(const ModelConfig& config, std::int64_t layer) {
  for (const Group g : all_groups) {
    if (!has_bias(config, g)) continue;
    Buffer whole(shape_of(config, g).out);
    std::int64_t first = 0;
    for (const Module m : modules_of(config, g)) {
      const std::array<std::int64_t, 1> shape = {shape_of(config, m).out};
      TRY(folder_->read(stored_path(config, layer, m) + ".bias", shape,
                        whole.span().subspan(static_cast<std::size_t>(first),
                                             static_cast<std::size_t>(shape[0]))));
      first += shape[0];
    }
    biases_[static_cast<std::size_t>(layer)][index_of(g)] = own(std::move(whole), 1, first);
  }
  return ok();
}

void Weights::decode(const Mat& to, std::int64_t layer, Group g) {
  std::int64_t first = 0;
  for (const Module m : modules_of(config_, g)) {
    const Nf4Matrix& q = quantised_[static_cast<std::size_t>(layer)][index_of(m)];
    ops_->dequantise(to.rows_at(first, q.rows).columns_at(0, q.cols), q.view);
    first += q.rows;
  }
}

void Weights::keep_decoded(std::int64_t layers) {
  for (std::size_t l = 0; l + static_cast<std::size_t>(layers) < cached_.size(); ++l) {
    for (Mat& group : groups_[l]) group.data = nullptr;
    cached_[l].clear();
  }
  if (scratch_.size() == 0 && static_cast<std::size_t>(layers) < cached_.size())
    scratch_ = ops_->make(largest_group_);
}

Mat Weights::group(std::int64_t layer, Group g) {
  Mat whole = groups_[static_cast<std::size_t>(layer)][index_of(g)];
  if (whole.data != nullptr) return whole;
  whole.data = scratch_.data();
  decode(whole, layer, g);
  return whole;
}

Result<Weights> Weights::load(Ops& ops, const std::string& model_dir, const ModelConfig& config,
                              const WeightsOptions& options) {
  const LoraLayout* lora = options.lora;
  const bool may_map = lora == nullptr;
  const auto layers = static_cast<std::size_t>(config.layers);
  Weights w(ops, config);
  w.type_ = options.type;
  w.folder_ = TRY(TensorFolder::open(model_dir));
  const auto table = [&](const char* name) {
    return w.take_table(std::string(name) + ".weight", may_map);
  };
  w.embedding_ = TRY(table(config.names->embedding));
  w.head_ = w.embedding_;
  if (!config.tied_head) w.head_ = TRY(table(config.names->head));
  w.norms_.resize(layers);
  w.biases_.resize(layers);
  if (may_map) w.modules_.resize(layers);
  if (!may_map) w.groups_.resize(layers);
  if (options.method == Method::qlora) w.quantised_.resize(layers);
  if (options.method == Method::qlora && !may_map) w.cached_.resize(layers);
  for (std::int64_t l = 0; l < config.layers; ++l) {
    if (options.should_stop && options.should_stop())
      return Error{Code::conflict, "asked to stop while the model was being loaded"};
    const auto at = static_cast<std::size_t>(l);
    for (std::size_t n = 0; n < norm_places; ++n) {
      const auto place = static_cast<NormAt>(n);
      if (config.has_norm(place))
        w.norms_[at][n] =
            TRY(w.take_norm(norm_path(config, l, place), norm_width(config, place), may_map));
    }
    TRY(w.take_biases(config, l));
    for (const Module m : modules_of(config)) {
      if (!may_map) break;
      const LinearShape s = shape_of(config, m);
      Frozen& module = w.modules_[at][index_of(m)];
      if (options.method == Method::qlora)
        module = Frozen::of(TRY(w.take_nf4(l, m))->view, s.out, s.in);
      else
        module = TRY(w.map(stored_path(config, l, m) + ".weight", s.out, s.in));
    }
    for (const Group g : all_groups) {
      if (may_map) break;
      const LoraGroup& group = lora->groups[at][index_of(g)];
      TRY(w.take_group(config, l, g, group, options));
      w.largest_group_ =
          std::max(w.largest_group_, floats_of(options.type, group.out * group.stride));
    }
  }
  w.final_norm_ = TRY(w.take_norm(config.names->final_norm, config.hidden, may_map));
  if (!w.cached_.empty() && options.cached_layers < config.layers)
    w.scratch_ = ops.make(w.largest_group_);
  if (!may_map) w.folder_.reset();
  return w;
}
}  // namespace kairo::gpu
