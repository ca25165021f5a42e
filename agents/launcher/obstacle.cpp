// agents/launcher/obstacle.cpp - in the words of the status.
#include "agents/launcher/obstacle.h"

#include "agents/runtime/decision.h"

namespace kairo::launcher {
namespace {
constexpr const char* foreign = "ForeignWorkload";

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
    case Code::pending:
      return "InternalError";
  }
  return "InternalError";
}

// The answer is known to this agent alone, and its store may have been lost: until the workload is
// there, or another answer comes, what was said stands.
std::pair<std::string, std::string> said_before(const wire::RecordT& record) {
  const std::string& revision = record.workspace->revision;
  const auto is_there = [&](const auto& seen) { return seen && seen->exists; };
  const bool is_over =
      is_there(record.job) || is_there(record.server) || runtime::is_trained(record);
  if (!record.run || !record.run->planned || record.run->revision != revision || is_over) return {};
  if (record.run->reason == foreign) return {};
  return {record.run->reason, record.run->message};
}
}  // namespace

std::pair<std::string, std::string> obstacle(const wire::RecordT& record) {
  const bool tunes = record.workspace->tuning != nullptr;
  const bool is_kaitos =  // who goes on with it until it ends
      tunes ? runtime::is_kaitos(record, record.job) : runtime::is_kaitos(record, record.server);
  if (is_kaitos) return {};
  if (tunes ? is_foreign(record.job) : is_foreign(record.server)) {
    const std::string kind = tunes ? "Job" : "StatefulSet";
    return {foreign, kind + " " + record.ns + "/" + record.name +
                         " was made by another controller and is left as it is; delete "
                         "it, and kairo makes its own"};
  }
  const char* command = tunes ? "ApplyTuning" : "ApplyInference";
  const wire::TroubleT* answer = record.trouble.get();
  if (answer != nullptr &&
      (answer->command != command || answer->revision != record.workspace->revision))
    answer = nullptr;
  if (answer == nullptr) return said_before(record);
  if (answer->what.empty()) return {};
  return {reason_of(*answer), answer->what};
}
}  // namespace kairo::launcher
