// gpu/engine/served_adapter.cpp - checks an adapter's matrices against the model and its config.
#include "gpu/engine/served_adapter.h"

#include <map>
#include <span>
#include <utility>

#include "gpu/formats/adapter.h"
#include "gpu/model/target_match.h"

namespace kairo::gpu {
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
// Takes the modules' memory.
void fill(ServedAdapter::Stack& stack, std::span<AdapterModule* const> modules, std::int64_t rank) {
  const std::int64_t cols = stack.cols();
  stack.b.resize(static_cast<std::size_t>(rank * cols));
  std::int64_t at = 0;
  for (AdapterModule* module : modules) {
    stack.a.insert(stack.a.end(), module->a.begin(), module->a.end());
    for (std::int64_t c = 0; c < module->out; ++c)
      for (std::int64_t r = 0; r < rank; ++r)
        stack.b[static_cast<std::size_t>(r * cols + at + c)] =
            module->b[static_cast<std::size_t>(c * rank + r)];
    at += module->out;
    module->a = {};
    module->b = {};
  }
}
}  // namespace

std::int64_t ServedAdapter::Stack::cols() const {
  std::int64_t sum = 0;
  for (const LowRankPart& part : parts) sum += part.cols;
  return sum;
}

Result<ServedAdapter> load_served_adapter(const AdapterSource& source, const ModelConfig& config) {
  Adapter adapter = TRY(load_adapter(source.dir));
  std::map<std::string, std::pair<std::int64_t, Module>> known;
  std::map<std::pair<std::int64_t, Module>, AdapterModule*> adapted;
  for (std::int64_t l = 0; l < config.layers; ++l)
    for (const Module m : modules_of(config)) known[module_path(config, l, m)] = {l, m};
  ServedAdapter out;
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
    adapted[at->second] = &module;
  }
  for (std::int64_t l = 0; l < config.layers; ++l)
    for (const Group g : all_groups) {
      std::int64_t first = 0;
      auto& stack = out.layers[static_cast<std::size_t>(l)][index_of(g)];
      std::vector<AdapterModule*> modules;
      for (const Module m : modules_of(config, g)) {
        const std::int64_t cols = shape_of(config, m).out;
        if (const auto module = adapted.find({l, m}); module != adapted.end()) {
          stack.parts.push_back({first, cols});
          modules.push_back(module->second);
        }
        first += cols;
      }
      fill(stack, modules, out.rank);
    }
  return out;
}
}  // namespace kairo::gpu
