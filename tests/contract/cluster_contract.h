// tests/contract/cluster_contract.h - what every Cluster must do; runs against an empty one.
#pragma once
#include "agents/cluster/cluster.h"

namespace kairo::test {
// Failures are doctest's. `patience_ms`: how long an event may take to arrive.
void cluster_contract(cluster::Cluster& cluster, std::int64_t patience_ms);
}  // namespace kairo::test
