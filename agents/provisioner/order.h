// agents/provisioner/order.h - what is asked of a node provisioner, as Kubernetes JSON. Pure.
// KAITO's fields and values, so that its providers do what they do for KAITO.
#pragma once
#include <string>

#include "agents/cluster/cluster.h"
#include "agents/provisioner/terms.h"
#include "schemas/command_generated.h"

namespace kairo::provisioner {
// command: a BuyNode.
cluster::Apply plan_order(const wire::CommandT& command, const Terms& terms);
// Labels by which an object is one of a Workspace, as its text "key=value", and the namespace's
// key.
struct Marking {
  cluster::Kind kind;
  std::string label, ns_key;
};
std::vector<Marking> markings(const std::string& workspace);
}  // namespace kairo::provisioner
