// agents/provisioner/decide.h - which node a Workspace gets, or why it gets none.
#pragma once
#include "agents/provisioner/terms.h"
#include "agents/runtime/agent.h"

namespace kairo::provisioner {
// What cannot work is refused before anything starts or is bought, with what it needs, what there
// is, and what to do. What is granted stands while the node is there.
runtime::Decision decide(const wire::RecordT& record, const runtime::View& view,
                         const Terms& terms = {});
// See runtime::Concerns: a grant is about the nodes that it names, what waits about those that
// match, or that are bought for it.
bool concerns(const wire::RecordT& record, const std::string& name, const wire::NodeT* before,
              const wire::NodeT& after, const Terms& terms = {});
// See runtime::MayConcern.
bool may_concern(const wire::Record& record, const std::string& name, const wire::NodeT* before,
                 const wire::NodeT& after, const Terms& terms = {});
}  // namespace kairo::provisioner
