// gpu/formats/adapter.cpp - an adapter's two files, and that they agree.
#include "gpu/formats/adapter.h"

#include <map>

#include "gpu/formats/files.h"

namespace kairo::gpu {
namespace {
constexpr std::int64_t adapter_bytes_max = 1 << 20;
constexpr std::string_view prefix = "base_model.model.";
constexpr std::string_view a_suffix = ".lora_A.weight", b_suffix = ".lora_B.weight";

// "base_model.model.<path>.lora_A.weight" -> path, or empty.
std::string module_path(const std::string& name, std::string_view suffix) {
  if (!name.starts_with(prefix) || !name.ends_with(suffix)) return "";
  return name.substr(prefix.size(), name.size() - prefix.size() - suffix.size());
}
}  // namespace

Status write_adapter(const std::string& dir, const AdapterConfig& config,
                     std::span<const TensorToWrite> tensors) {
  TRY(make_folders(dir));
  TRY(write_tensors(dir + "/adapter_model.safetensors", tensors));
  return write_file(dir + "/adapter_config.json", adapter_config_text(config));
}

Result<Adapter> load_adapter(const std::string& dir) {
  const std::string config_file = dir + "/adapter_config.json";
  const std::string tensor_file = dir + "/adapter_model.safetensors";
  Adapter adapter;
  const std::string text = TRY(read_file(config_file, adapter_bytes_max));
  adapter.config = TRY(parse_adapter_config(text, config_file));
  const TensorFile file = TRY(TensorFile::open(tensor_file));
  std::map<std::string, AdapterModule> modules;
  for (const auto& t : file.header().tensors) {
    const bool is_a = t.name.ends_with(a_suffix);
    const std::string path = module_path(t.name, is_a ? a_suffix : b_suffix);
    if (path.empty() || t.shape.size() != 2)
      return Error{Code::invalid, tensor_file + ": " + t.name + " is no LoRA matrix"};
    auto& module = modules[path];
    module.path = path;
    (is_a ? module.in : module.out) = t.shape[is_a ? 1 : 0];
    const std::int64_t rank = t.shape[is_a ? 0 : 1];
    if (rank != adapter.config.rank || (module.rank != 0 && module.rank != rank))
      return Error{Code::corrupt, tensor_file + ": " + t.name + " has rank " +
                                      std::to_string(rank) + ", adapter_config.json says " +
                                      std::to_string(adapter.config.rank)};
    module.rank = rank;
    auto& values = is_a ? module.a : module.b;
    values.resize(static_cast<std::size_t>(t.count()));
    TRY(file.read(t, values));
  }
  for (auto& [path, module] : modules) {
    if (module.a.empty() || module.b.empty())
      return Error{Code::corrupt, tensor_file + ": " + path + " lacks lora_A or lora_B"};
    adapter.modules.push_back(std::move(module));
  }
  if (adapter.modules.empty()) return Error{Code::corrupt, tensor_file + ": no LoRA matrices"};
  return adapter;
}
}  // namespace kairo::gpu
