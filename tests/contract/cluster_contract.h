// tests/contract/cluster_contract.h - what every Cluster must do; runs against an empty one.
#pragma once
#include "agents/cluster/cluster.h"

namespace kairo::test {
struct Traits {
  std::int64_t patience_ms = 10'000;  // how long an event may take to arrive
  bool is_http = true;                // it serves a fixed set of kinds
  bool has_controllers = true;        // one collects garbage
};
void cluster_contract(cluster::Cluster& cluster, const Traits& traits);  // failures are doctest's
}  // namespace kairo::test
