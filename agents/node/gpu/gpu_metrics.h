// agents/node/gpu/gpu_metrics.h - the GPUs' figures as Prometheus text, under dcgm-exporter's names
// and labels, so that its dashboards and alerts work as they are. Pure.
#pragma once
#include <string>
#include <vector>

#include "agents/node/gpu/health.h"

namespace kairo::node {
// A GPU whose last reading is older has no figures; a dead one would look alive.
constexpr std::int64_t reading_ms_max = 5'000;
// troubles: of the board's GPUs, in their order; "" = well. "" when there never was a driver.
std::string gpu_metrics(const GpuBoard& board, const std::vector<std::string>& troubles,
                        const std::string& hostname);
}  // namespace kairo::node
