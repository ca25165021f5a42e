// gpu/engine/decoder_weights.h - a model's weights for decoding, mapped where possible, and its
// adapters.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gpu/engine/buffer.h"
#include "gpu/engine/generator.h"
#include "gpu/formats/adapter.h"
#include "gpu/formats/model_config.h"
#include "gpu/formats/safetensors.h"
#include "gpu/model/layer_plan.h"

namespace kairo::gpu {
// Matrices are (out, in), row-major, dense f32. Immutable; movable.
class DecoderWeights {
 public:
  // not_found, invalid, corrupt: as the files.
  static Result<DecoderWeights> load(const std::string& model_dir, const ModelConfig& config);
  const float* embedding() const { return embedding_; }
  const float* head() const { return head_; }
  const float* final_norm() const { return final_norm_; }
  const float* input_norm(std::int64_t layer) const { return at(layer).norms[0]; }
  const float* post_attention_norm(std::int64_t layer) const { return at(layer).norms[1]; }
  const float* module(std::int64_t layer, Module m) const { return at(layer).modules[index_of(m)]; }

 private:
  struct Layer {
    std::array<const float*, 2> norms;
    std::array<const float*, 7> modules;
  };
  const Layer& at(std::int64_t layer) const { return layers_[static_cast<std::size_t>(layer)]; }
  Result<const float*> take(const std::string& name, std::int64_t rows, std::int64_t cols);
  std::optional<TensorFolder> folder_;  // keeps the mapping
  std::vector<Buffer> copies_;          // tensors that are not stored as f32
  const float *embedding_ = nullptr, *head_ = nullptr, *final_norm_ = nullptr;
  std::vector<Layer> layers_;
};
// One adapter's matrices by module; null where it has none.   delta = b (a x), b already scaled.
struct DecoderAdapter {
  struct Pair {
    std::vector<float> a, b;  // (rank, in), (out, rank)
  };
  std::int64_t rank = 0;
  std::vector<std::array<Pair, 7>> layers;
};
// invalid: modules or shapes that the model does not have, or that the adapter's own config does
// not choose (peft would leave them out).
Result<DecoderAdapter> load_decoder_adapter(const AdapterSource& source, const ModelConfig& config);
}  // namespace kairo::gpu
