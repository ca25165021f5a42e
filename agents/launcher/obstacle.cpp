// agents/launcher/obstacle.cpp - in the words of the status.
#include "agents/launcher/obstacle.h"

#include "agents/runtime/decision.h"

namespace kairo::launcher {
namespace {
// Why the workload could not be applied: a ConfigMap or Secret that is missing or wrong.
std::string reason_of(const wire::TroubleT& trouble) {
  switch (static_cast<Code>(trouble.code)) {
    case Code::invalid:
      return "InvalidWorkload";
    case Code::not_found:
      return "DependencyNotFound";
    case Code::conflict:
      return "InvalidConfiguration";
    case Code::unavailable:
      return "ClusterUnavailable";
    case Code::corrupt:
    case Code::expired:
      return "InternalError";
  }
  return "InternalError";
}

}  // namespace

std::pair<std::string, std::string> obstacle(const wire::RecordT& record) {
  const bool tunes = record.workspace->tuning != nullptr;
  if (tunes ? is_foreign(record.job) : is_foreign(record.server)) {
    const std::string kind = tunes ? "Job" : "StatefulSet";
    return {"ForeignWorkload", kind + " " + record.ns + "/" + record.name +
                                   " was made by another controller and is left as it is; delete "
                                   "it, and kairo makes its own"};
  }
  const auto* trouble = runtime::trouble_of(record, tunes ? "ApplyTuning" : "ApplyInference");
  if (trouble == nullptr) return {};
  return {reason_of(*trouble), trouble->what};
}
}  // namespace kairo::launcher
