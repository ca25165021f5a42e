// agents/serve_gateway.h - `kairo gateway`: its settings, and the parts put together.
#pragma once
#include <atomic>
#include <string>

#include "agents/settings.h"
#include "schemas/base/result.h"

namespace kairo {
bool is_of_gateway(const std::string& setting);
// Serves until `stop`. invalid: a setting that is missing or does not do.
Status serve_gateway(const Settled& settled, const std::atomic<bool>& stop);
}  // namespace kairo
