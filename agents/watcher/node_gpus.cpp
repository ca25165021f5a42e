// agents/watcher/node_gpus.cpp - JSON of somebody else's, with limits.
#include "agents/watcher/node_gpus.h"

#include <nlohmann/json.hpp>

namespace kairo::watcher {
namespace {
constexpr std::size_t annotation_max = 65'536, listed_max = 64, words_max = 512;

std::string words_in(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string()
             ? found->get<std::string>().substr(0, words_max)
             : "";
}
}  // namespace

std::unique_ptr<wire::NodeGpusT> node_gpus(const std::string& annotation) {
  if (annotation.empty() || annotation.size() > annotation_max) return nullptr;
  const auto json = nlohmann::json::parse(annotation, nullptr, false);
  if (!json.is_object()) return nullptr;
  auto out = std::make_unique<wire::NodeGpusT>();
  out->driver = words_in(json, "driver");
  out->trouble = words_in(json, "trouble");
  for (const auto& gpu : json.value("gpus", nlohmann::json::array())) {
    if (!gpu.is_object() || out->gpus.size() == listed_max) continue;
    auto one = std::make_unique<wire::NodeGpuT>();
    one->uuid = words_in(gpu, "uuid");
    one->name = words_in(gpu, "name");
    one->capability = words_in(gpu, "capability");
    const auto memory = gpu.find("memoryMiB");
    if (memory != gpu.end() && memory->is_number_unsigned())
      one->memory_mib = memory->get<std::uint64_t>();
    const auto mig = gpu.find("mig");
    one->mig = mig != gpu.end() && mig->is_boolean() && mig->get<bool>();
    one->trouble = words_in(gpu, "trouble");
    out->gpus.push_back(std::move(one));
  }
  return out;
}
}  // namespace kairo::watcher
