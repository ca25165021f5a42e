// gpu/model/lora_choice.cpp - target matching, and why a choice is refused.
#include "gpu/model/lora_choice.h"

#include "gpu/model/target_match.h"

namespace kairo::gpu {
namespace {
std::string linear_names(const ModelConfig& config) {
  std::string out;
  for (const Module m : modules_of(config))
    out += (out.empty() ? "" : ", ") + std::string(name_of(config, m));
  return out + " (or \"all-linear\"), as in " + module_path(config, 0, modules_of(config).front());
}
// The model's other modules: peft adapts some of them and fails on the rest.
std::vector<std::string> other_paths(const ModelConfig& config) {
  const TensorNames& names = *config.names;
  const std::string layers(names.layers, std::string_view(names.layers).size() - 1);
  const std::string body = layers.substr(0, layers.rfind('.'));
  const auto part_of = [](std::string_view part) { return "." + std::string(part); };
  std::vector<std::string> out = {body,       names.embedding,     layers, names.final_norm,
                                  names.head, body + ".rotary_emb"};
  std::vector<std::string> parts = {""};
  for (const std::string_view half : {names.attention, names.mlp})
    parts.push_back(part_of(half.substr(0, half.size() - 1)));
  parts.push_back(parts.back() + ".act_fn");
  for (std::size_t n = 0; n < norm_places; ++n)
    if (config.has_norm(static_cast<NormAt>(n)))
      parts.push_back(norm_in_layer(config, static_cast<NormAt>(n)));
  for (std::int64_t l = 0; l < config.layers; ++l)
    for (const auto& part : parts) out.push_back(layers + "." + std::to_string(l) + part);
  return out;
}
Status check_targets(const ModelConfig& config, const LoraTargets& targets,
                     const TargetMatch& match) {
  const bool by_name = targets.pattern.empty() && !is_all_linear(targets);
  for (std::size_t i = 0; by_name && i < targets.names.size(); ++i) {
    bool used = false;
    for (std::int64_t l = 0; l < config.layers && !used; ++l)
      for (const Module m : modules_of(config))
        used = used || match.name_matches(i, module_path(config, l, m));
    if (!used)
      return Error{Code::invalid,
                   "LoRA: target_modules \"" + targets.names[i] +
                       "\" matches no linear module; there are: " + linear_names(config)};
  }
  for (const auto& path : other_paths(config))
    if (match.matches(path, false))
      return Error{Code::invalid,
                   "LoRA: target_modules matches " + path +
                       ", which cannot be adapted; there are: " + linear_names(config)};
  for (const auto layer : targets.layers)
    if (layer < 0 || layer >= config.layers)
      return Error{Code::invalid, "LoRA: layers_to_transform names layer " + std::to_string(layer) +
                                      "; the model has 0 to " + std::to_string(config.layers - 1)};
  return ok();
}
}  // namespace

std::vector<std::string> default_targets(const ModelConfig& config) {
  if (!config.fused_qkv) return {name_of(config, Module::q), name_of(config, Module::v)};
  if (!config.is_gated()) return {name_of(config, Module::qkv)};
  return {name_of(config, Module::qkv), name_of(config, Module::o)};
}

Result<LoraLayout> make_lora_layout(const ModelConfig& config, std::int64_t rank, double scale,
                                    const LoraTargets& targets) {
  if (rank < 1 || rank > config.hidden)
    return Error{Code::invalid, "LoRA: r = " + std::to_string(rank) + " is out of range [1, " +
                                    std::to_string(config.hidden) + "] (the model's hidden size)"};
  const TargetMatch match = TRY(TargetMatch::make(targets));
  TRY(check_targets(config, targets, match));
  LoraLayout layout = lay_out(config, rank, scale, [&](std::int64_t layer, Module m) {
    return match.matches(module_path(config, layer, m), true);
  });
  if (layout.modules.empty())
    return Error{
        Code::invalid,
        "LoRA: target_modules, layers and exclude_modules leave no linear "
        "module; there are: " +
            linear_names(config) +
            (targets.pattern.empty() ? ""
                                     : "; one string is an expression of the whole path: write "
                                       "[" +
                                           targets.pattern.substr(0, 40) + "] for a name")};
  return layout;
}
}  // namespace kairo::gpu
