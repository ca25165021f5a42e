// agents/provisioner/stage.h - how far a bought node has come: Karpenter's own lifecycle, then what
// a Workspace needs besides. Pure.
//
//   created -> launched -> registered -> initialized -> node -> GPU -> label -> node agent ->
//   usable
#pragma once
#include <string>

#include "agents/provisioner/spread.h"
#include "agents/provisioner/terms.h"
#include "agents/runtime/agent.h"

namespace kairo::provisioner {
struct Told {  // of a condition; reason "" = it is True
  std::string reason, message;
};
struct Stage {
  std::string name;  // "launched": what it waits for; "usable" is the last
  Told claim, node;  // NodeClaimReady, NodesReady
  std::string look;  // added when it has lasted too long: what to look at
  const runtime::Nodes::value_type* machine = nullptr;  // null: it has no Node yet
  const wire::NodeClaimT* end = nullptr;  // the claim that has ended, or ends: why is asked
  std::string then;                       // what follows on it
};
Told nodes_wait(const std::string& why);  // of NodesReady
// How far it is; the slowest has the least.
int rank_of(const Stage& stage);
// Of one of so many nodes (needed). claim: exists.
Stage stage_of(const wire::NodeClaimT& claim, const wire::WorkspaceT& w,
               const runtime::Nodes& nodes, const Terms& terms, std::uint32_t needed);
// Those without a claim that are Ready and that the user has given to this Workspace as KAITO takes
// them: with the labels kaito.sh/workspace and kaito.sh/workspacenamespace, of no NodePool. By
// name.
Machines given_nodes(const wire::RecordT& record, const runtime::Nodes& nodes);
bool is_given(const wire::NodeT& node, const wire::RecordT& record);
// As stage_of, from the Node on.
Stage stage_of_node(const runtime::Nodes::value_type& machine, const wire::WorkspaceT& w,
                    std::uint32_t needed);
bool has_label(const wire::NodeT& node, const char* key, const std::string& value);
}  // namespace kairo::provisioner
