// agents/serve_agent.h - one agent as a process: the wiring, and nothing but the wiring.
#pragma once
#include <atomic>

#include "agents/config.h"

namespace kairo {
// Runs until `stop`.
Status serve_agent(const AgentConfig& config, const std::atomic<bool>& stop);
// `kairo web`, until `stop`. settled: as read_settings() gave them.
Status serve_page(const Result<Settled>& settled, const std::atomic<bool>& stop);
}  // namespace kairo
