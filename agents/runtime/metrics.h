// agents/runtime/metrics.h - an agent's figures as Prometheus text. Pure.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "agents/runtime/vitals.h"

namespace kairo::runtime {
struct Figures {
  std::uint64_t records = 0, facts = 0, decisions = 0, quarantined = 0;
  std::uint64_t outbox_rows = 0, effects = 0, acting = 0;
};
// Text format 0.0.4. Each vital has its age in seconds, and 1 while it is all right.
std::string metrics_text(const std::string& agent, const Figures& figures,
                         const std::vector<Vital>& vitals);
}  // namespace kairo::runtime
