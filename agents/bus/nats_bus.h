// agents/bus/nats_bus.h - the Bus on NATS JetStream (nats-server >= 2.9).
//
// Streams: KAIRO_FACTS (kairo.facts.>, last value per subject), KAIRO_STATUS (kairo.status.>,
// last value, for people), KAIRO_CURVES (kairo.curves.>, last value: the losses of a run, too large
// for everybody to hear) and KAIRO_DEAD (kairo.dead.>: messages that nobody could read), 30 days
// each; a cluster with a name has its own of all these (names.h). Only `admin` creates them and
// keeps their settings; other agents need no such right.
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "agents/bus/bus.h"
#include "agents/bus/names.h"

namespace kairo::bus {
struct NatsOptions {
  std::string url = "nats://127.0.0.1:4222";
  std::string user, password;  // "" = none
  std::string ca_file;         // who may sign the server's certificate (PEM); "" = the system's
  int replicas = 0;            // of each stream, kept by `admin`; 0 = as they are, new ones 1
  bool admin = false;
  Names names;
  // What next() hands out: all facts, some of them ("kairo.facts.training.>"), or the curves. Of a
  // part nothing says when it is whole.
  std::string reads = "kairo.facts.>";
  // Who this is in the broker's list of connections, "launcher on node-a"; made unique.
  std::string client;
};
// Returns at once even when no server answers: calls say unavailable until one does.
Result<std::unique_ptr<Bus>> open_nats_bus(const NatsOptions& options);
}  // namespace kairo::bus
