// gpu/engine/weights.h - a model's frozen weights as views: mapped as the files have them (or
// copied so, where a device has memory of its own), to serve; or in memory with room for an adapter
// beside them, to train; of both kinds perhaps in NF4.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gpu/engine/ops.h"
#include "gpu/formats/model_config.h"
#include "gpu/formats/safetensors.h"
#include "gpu/model/lora_layout.h"
#include "gpu/plan/memory_plan.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
struct WeightsOptions {
  // Rows of each group get its stride, so that an adapter has room behind them. Null: nothing is
  // trained, matrices are mapped as the files have them, or modules are NF4 with the method qlora.
  const LoraLayout* lora = nullptr;  // outlives the loading only
  Method method = Method::lora;
  Type type = Type::f32;              // of all matrices; with lora only
  std::int64_t cached_layers = 0;     // of NF4 weights: the last so many in that type, too
  std::function<bool()> should_stop;  // asked between layers; may be empty
};
struct NormWeights {
  Mat weight, bias;  // bias: of NormKind::layer
};
// Of one that is stored as f32 or bf16, as all are that are trained on.
inline Mat matrix_of(const Frozen& w) {
  KAIRO_ASSERT(w.kind == Stored::f32 || w.kind == Stored::bf16, "plain numbers");
  return Mat::of(w.kind == Stored::f32 ? Type::f32 : Type::bf16, w.data, w.rows, w.cols);
}
class Weights {  // immutable but for what is written behind the groups' columns; movable
 public:
  // ops must outlive this. not_found, invalid, corrupt: the files. conflict: should_stop said so.
  static Result<Weights> load(Ops& ops, const std::string& model_dir, const ModelConfig& config,
                              const WeightsOptions& options);
  Type type() const { return type_; }                     // of what products read
  const Frozen& embedding() const { return embedding_; }  // (vocab, hidden)
  const Frozen& head() const { return head_; }            // the same shape; perhaps the same
  // (1, norm_width); no data where the family has none.
  const NormWeights& norm(std::int64_t layer, NormAt at) const {
    return norms_[static_cast<std::size_t>(layer)][index_of(at)];
  }
  const NormWeights& final_norm() const { return final_norm_; }
  // (out, in); without an adapter's room only.
  const Frozen& module(std::int64_t layer, Module m) const {
    return modules_[static_cast<std::size_t>(layer)][index_of(m)];
  }
  // With room only: (out, stride), the modules' rows stacked; columns behind `in` are the caller's.
  // A decoded group shares its memory with all others: valid until the next call.
  Mat group(std::int64_t layer, Group g);
  // (1, out) of the group's modules; no data: they have none.
  const Mat& bias(std::int64_t layer, Group g) const {
    return biases_[static_cast<std::size_t>(layer)][index_of(g)];
  }
  bool is_decoded_at_use(std::int64_t layer) const {
    return groups_[static_cast<std::size_t>(layer)][0].data == nullptr;
  }
  // Of NF4: the last so many layers at most stay decoded.
  void keep_decoded(std::int64_t layers);

 private:
  struct Nf4Matrix {  // one module
    std::vector<std::uint8_t> packed, scales;
    std::vector<float> group_scales;
    float offset = 0;
    std::int64_t rows = 0, cols = 0;
    Nf4View view = {};  // of the above, where kernels read it
  };
  Weights(Ops& ops, ModelConfig config) : ops_(&ops), config_(std::move(config)) {}
  // (1, width), each value plus `more`.
  Result<Mat> take(const std::string& name, std::int64_t width, bool may_map, float more = 0);
  // What the device reads of the host's bytes; `host` is let go where they were copied.
  template <class T>
  const T* hold(std::vector<T>& host);
  Mat own(Buffer host, std::int64_t rows, std::int64_t cols, Type type = Type::f32);
  Result<Frozen> take_table(const std::string& name, bool may_map);
  Result<Frozen> map(const std::string& name, std::int64_t rows, std::int64_t cols);
  Result<const Nf4Matrix*> take_nf4(std::int64_t layer, Module m);
  // Reads a matrix into one of another stride, and perhaps another type.
  Status read(const Mat& to, const std::string& name);
  Status take_group(const ModelConfig& config, std::int64_t layer, Group g, const LoraGroup& lora,
                    const WeightsOptions& options);
  Status take_biases(const ModelConfig& config, std::int64_t layer);
  Result<NormWeights> take_norm(const std::string& path, std::int64_t width, bool may_map);
  static Nf4Matrix quantised(std::span<const float> weights, LinearShape s);
  void decode(const Mat& to, std::int64_t layer, Group g);
  Ops* ops_;
  ModelConfig config_;
  std::optional<TensorFolder> folder_;  // keeps the mapping
  std::vector<Buffer> owned_;
  Buffer scratch_;                  // of one decoded group; empty when none is decoded at use
  std::int64_t largest_group_ = 0;  // floats of it
  std::vector<std::vector<Buffer>> cached_;  // [layer]: its groups, decoded once; NF4
  Type type_ = Type::f32;
  Frozen embedding_, head_;
  std::vector<std::array<NormWeights, norm_places>> norms_;
  NormWeights final_norm_;
  std::vector<std::array<Frozen, module_kinds>> modules_;  // [layer][module]; without room
  std::vector<std::array<Mat, 4>> biases_;                 // [layer][group]
  std::vector<std::array<Mat, 4>> groups_;  // [layer][group]; data is null when decoded
  std::vector<std::array<Nf4Matrix, module_kinds>> quantised_;  // [layer][module]; NF4
};
}  // namespace kairo::gpu
