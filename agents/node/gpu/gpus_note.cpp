// agents/node/gpu/gpus_note.cpp - as JSON, keys sorted.
#include "agents/node/gpu/gpus_note.h"

#include <nlohmann/json.hpp>

namespace kairo::node {
std::unique_ptr<wire::NodeGpusT> gpus_word(const GpuBoard& board,
                                           const std::vector<std::string>& troubles) {
  if (!board.is_open && board.trouble.empty()) return nullptr;
  auto out = std::make_unique<wire::NodeGpusT>();
  out->driver = board.driver;
  out->trouble = board.trouble;
  for (std::size_t i = 0; i < board.gpus.size() && i < troubles.size(); ++i) {
    const Gpu& gpu = board.gpus[i].gpu;
    auto one = std::make_unique<wire::NodeGpuT>();
    one->uuid = gpu.uuid;
    one->name = gpu.name;
    if (gpu.major_capability > 0)
      one->capability =
          std::to_string(gpu.major_capability) + "." + std::to_string(gpu.minor_capability);
    one->memory_mib = gpu.memory_bytes >> 20;
    one->mig = gpu.mig;
    one->trouble = troubles[i];
    out->gpus.push_back(std::move(one));
  }
  return out;
}

std::string gpus_text(const wire::NodeGpusT& word) {
  nlohmann::json out = {{"driver", word.driver}, {"trouble", word.trouble}};
  out["gpus"] = nlohmann::json::array();
  for (const auto& gpu : word.gpus)
    out["gpus"].push_back({{"uuid", gpu->uuid},
                           {"name", gpu->name},
                           {"capability", gpu->capability},
                           {"memoryMiB", gpu->memory_mib},
                           {"mig", gpu->mig},
                           {"trouble", gpu->trouble}});
  return out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}
}  // namespace kairo::node
