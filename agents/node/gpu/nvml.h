// agents/node/gpu/nvml.h - NVIDIA's management library, opened at run time; nothing is linked.
// https://docs.nvidia.com/deploy/nvml-api; layouts and numbers are those of API 13, and every
// symbol is optional: without one its measure is absent.
#pragma once
#include <string>

#include "agents/node/gpu/gpus.h"

namespace kairo::node {
// path: the library's; "" = libnvidia-ml.so.1 where the loader, the GPU operator's driver container
// or GKE have it.
GpuAnswer<std::shared_ptr<Gpus>> open_nvml(const std::string& path = "");
}  // namespace kairo::node
