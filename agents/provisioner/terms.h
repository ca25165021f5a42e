// agents/provisioner/terms.h - how nodes come into this cluster, as the settings say. Values.
#pragma once
#include <cstdint>
#include <string>

#include "agents/cluster/kinds.h"

namespace kairo::provisioner {
enum class Mode : std::uint8_t {
  own,          // nodes that are there
  node_claims,  // a NodeClaim for each (KAITO's azure-gpu-provisioner)
  karpenter,    // a NodePool for each, of which Karpenter makes a NodeClaim
};
struct NodeClass {
  std::string group, kind, name;
};
struct Terms {
  Mode mode = Mode::own;
  NodeClass node_class{};
  // A tuning's node goes so long after its adapter is where it was wanted; -1: with the Workspace.
  std::int64_t release_after_ms = 600'000;
  // So long a state of a node may last until the status says what to look at.
  std::int64_t late_after_ms = 600'000;
  // A node that is not Ready for so long is given up, and another is bought; 0: never.
  std::int64_t lost_after_ms = 1'800'000;
};
// What is asked for: a NodeClaim, or a NodePool.
inline const cluster::Kind& asked_kind(const Terms& terms) {
  return terms.mode == Mode::karpenter ? cluster::node_pools : cluster::node_claims;
}
// "azure", "aws", or "" when the node class does not tell.
std::string cloud_of(const Terms& terms);
}  // namespace kairo::provisioner
