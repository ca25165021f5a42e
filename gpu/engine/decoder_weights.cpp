// gpu/engine/decoder_weights.cpp - maps f32 tensors, widens others, checks adapters against the
// model.
#include "gpu/engine/decoder_weights.h"

#include <map>
#include <utility>

#include "gpu/model/target_match.h"

namespace kairo::gpu {
Result<const float*> DecoderWeights::take(const std::string& name, std::int64_t rows,
                                          std::int64_t cols) {
  const std::array<std::int64_t, 2> matrix = {rows, cols};
  const auto shape = std::span<const std::int64_t>(matrix).first(cols == 0 ? 1 : 2);
  TRY(folder_->check(name, shape));  // before anything of that size is allocated
  const auto mapped = folder_->view(name, shape);
  if (!mapped.empty()) return mapped.data();
  Buffer copy(rows * (cols == 0 ? 1 : cols));
  TRY(folder_->read(name, shape, copy.span()));
  copies_.push_back(std::move(copy));
  return copies_.back().data();
}

Result<DecoderWeights> DecoderWeights::load(const std::string& model_dir,
                                            const ModelConfig& config) {
  DecoderWeights w;
  w.folder_ = TRY(TensorFolder::open(model_dir));
  w.embedding_ = TRY(w.take(embedding_name, config.vocab, config.hidden));
  w.head_ = w.embedding_;
  if (!config.tied_head) w.head_ = TRY(w.take(head_name, config.vocab, config.hidden));
  w.final_norm_ = TRY(w.take(final_norm_name, config.hidden, 0));
  for (std::int64_t l = 0; l < config.layers; ++l) {
    Layer layer{};
    layer.norms[0] = TRY(w.take(input_norm_name(l), config.hidden, 0));
    layer.norms[1] = TRY(w.take(post_attention_norm_name(l), config.hidden, 0));
    for (const Module m : all_modules) {
      const LinearShape s = shape_of(config, m);
      layer.modules[index_of(m)] = TRY(w.take(module_path(l, m) + ".weight", s.out, s.in));
    }
    w.layers_.push_back(layer);
  }
  return w;
}

namespace {
std::string named(const AdapterSource& source) {
  return "adapter " + source.name + " (" + source.dir + "): ";
}
Result<TargetMatch> chosen_by(const LoraTargets& targets, const AdapterSource& source) {
  auto match = TargetMatch::make(targets);
  if (match.ok()) return match;
  const std::string section = "LoraConfig.";  // which a training's file has
  std::string what = match.error().what;
  if (what.starts_with(section)) what.erase(0, section.size());
  return Error{match.error().code, named(source) + "adapter_config.json: " + what};
}
}  // namespace

Result<DecoderAdapter> load_decoder_adapter(const AdapterSource& source,
                                            const ModelConfig& config) {
  Adapter adapter = TRY(load_adapter(source.dir));
  std::map<std::string, std::pair<std::int64_t, Module>> known;
  for (std::int64_t l = 0; l < config.layers; ++l)
    for (const Module m : all_modules) known[module_path(l, m)] = {l, m};
  DecoderAdapter out;
  out.rank = adapter.config.rank;
  out.layers.resize(static_cast<std::size_t>(config.layers));
  const auto scale = static_cast<float>(adapter.config.scale()) * source.strength;
  const auto targets = TRY(chosen_by(adapter.config.targets, source));
  for (auto& module : adapter.modules) {
    const auto at = known.find(module.path);
    const auto refuse = [&](const std::string& why) {
      return Error{Code::invalid,
                   named(source) + module.path + " " + why + "; was it trained on this model?"};
    };
    if (at == known.end()) return refuse("is no linear module of the model");
    if (!targets.matches(module.path, true))
      return Error{Code::invalid,
                   named(source) + module.path +
                       ": adapter_model.safetensors has matrices for it, but adapter_config.json "
                       "(target_modules, layers_to_transform, exclude_modules) does not choose "
                       "it, so that peft computes without them: correct target_modules if they "
                       "belong to the adapter, else remove them from the file"};
    const LinearShape s = shape_of(config, at->second.second);
    if (module.in != s.in || module.out != s.out) return refuse("has another shape");
    for (float& b : module.b) b *= scale;
    auto& pair =
        out.layers[static_cast<std::size_t>(at->second.first)][index_of(at->second.second)];
    pair = {std::move(module.a), std::move(module.b)};
  }
  return out;
}
}  // namespace kairo::gpu
