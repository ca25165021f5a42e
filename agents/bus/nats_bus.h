// agents/bus/nats_bus.h - the Bus on NATS JetStream (nats-server >= 2.9).
//
// Streams: KAIRO_FACTS (kairo.facts.>, last value per subject), KAIRO_STATUS (kairo.status.>,
// last value, for people) and KAIRO_DEAD (kairo.dead.>: messages
// that nobody could read, 30 days). Only `admin` creates them; other agents need no such right.
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "agents/bus/bus.h"

namespace kairo::bus {
struct NatsOptions {
  std::string url = "nats://127.0.0.1:4222";
  std::string user, password;  // "" = none
  bool admin = false;
};
// Returns at once even when no server answers: calls say unavailable until one does.
Result<std::unique_ptr<Bus>> open_nats_bus(const NatsOptions& options);
}  // namespace kairo::bus
