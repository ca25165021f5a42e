// gpu/model/lora_choice.cpp - target matching, and why a choice is refused.
#include "gpu/model/lora_choice.h"

#include "gpu/model/target_match.h"

namespace kairo::gpu {
namespace {
std::string linear_names(const ModelConfig& config) {
  std::string out;
  for (const Module m : modules_of(config))
    out += (out.empty() ? "" : ", ") + std::string(name_of(m));
  return out + " (or \"all-linear\"), as in " + module_path(0, modules_of(config).front());
}
// The model's other modules: peft adapts some of them and fails on the rest.
std::vector<std::string> other_paths(std::int64_t layers) {
  std::vector<std::string> out = {"model",      "model.embed_tokens", "model.layers",
                                  "model.norm", "model.rotary_emb",   "lm_head"};
  for (std::int64_t l = 0; l < layers; ++l)
    for (const auto* part :
         {"", ".self_attn", ".mlp", ".mlp.act_fn", ".input_layernorm", ".post_attention_layernorm"})
      out.push_back("model.layers." + std::to_string(l) + part);
  return out;
}
Status check_targets(const ModelConfig& config, const LoraTargets& targets,
                     const TargetMatch& match) {
  const bool by_name = targets.pattern.empty() && !is_all_linear(targets);
  for (std::size_t i = 0; by_name && i < targets.names.size(); ++i) {
    bool used = false;
    for (std::int64_t l = 0; l < config.layers && !used; ++l)
      for (const Module m : modules_of(config))
        used = used || match.name_matches(i, module_path(l, m));
    if (!used)
      return Error{Code::invalid,
                   "LoRA: target_modules \"" + targets.names[i] +
                       "\" matches no linear module; there are: " + linear_names(config)};
  }
  for (const auto& path : other_paths(config.layers))
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
  if (config.fused) return {"qkv_proj", "o_proj"};
  return {"q_proj", "v_proj"};
}

Result<LoraLayout> make_lora_layout(const ModelConfig& config, std::int64_t rank, double scale,
                                    const LoraTargets& targets) {
  if (rank < 1 || rank > config.hidden)
    return Error{Code::invalid, "LoRA: r = " + std::to_string(rank) + " is out of range [1, " +
                                    std::to_string(config.hidden) + "] (the model's hidden size)"};
  const TargetMatch match = TRY(TargetMatch::make(targets));
  TRY(check_targets(config, targets, match));
  LoraLayout layout = lay_out(config, rank, scale, [&match](std::int64_t layer, Module m) {
    return match.matches(module_path(layer, m), true);
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
