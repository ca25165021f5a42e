// agents/role.cpp - the five agents, a line each.
#include "agents/role.h"

#include "agents/launcher/decide.h"
#include "agents/node/decide.h"
#include "agents/provisioner/decide.h"
#include "agents/pusher/decide.h"
#include "agents/runtime/tuned.h"
#include "agents/watcher/decide.h"

namespace kairo {
runtime::Role role_of(const std::string& agent, const provisioner::Terms& terms,
                      std::int64_t checkpoint_every_ms) {
  using wire::FactBody;
  if (agent == "watcher") {  // its sources compare what the cluster has with what it has heard
    runtime::Role out{watcher::decide};
    out.keeps_what_it_hears = true;
    out.names = runtime::named_tunings;
    return out;
  }
  if (agent == "provisioner")
    return {[terms](const wire::RecordT& record, const runtime::View& view) {
              return provisioner::decide(record, view, terms);
            },
            {FactBody::Resources},
            [terms](const wire::RecordT& record, const std::string& name, const wire::NodeT* before,
                    const wire::NodeT& after) {
              return provisioner::concerns(record, name, before, after, terms);
            },
            [terms](const wire::Record& record, const std::string& name, const wire::NodeT* before,
                    const wire::NodeT& after) {
              return provisioner::may_concern(record, name, before, after, terms);
            }};
  if (agent == "launcher") return {launcher::decide, {FactBody::Run}};
  if (agent == "node") {
    runtime::Role out{
        node::decide,
        {FactBody::RunDir, FactBody::Training, FactBody::Artifact, FactBody::Serving}};
    out.names = runtime::named_tunings;
    return out;
  }
  return {[checkpoint_every_ms](const wire::RecordT& record, const runtime::View& view) {
            return pusher::decide(record, view, checkpoint_every_ms);
          },
          {FactBody::Push, FactBody::Checkpoint}};
}
}  // namespace kairo
