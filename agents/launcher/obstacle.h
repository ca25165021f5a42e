// agents/launcher/obstacle.h - why a workload is not there although its node is. Pure.
#pragma once
#include <string>
#include <utility>

#include "schemas/record_generated.h"

namespace kairo::launcher {
// A condition reason and a message; both "" = nothing is in its way. The record has a Workspace.
std::pair<std::string, std::string> obstacle(const wire::RecordT& record);
// Made by another controller (KAITO's name no revision of ours): it is left alone.
template <class Workload>
bool is_foreign(const Workload& seen) {
  return seen && seen->exists && seen->revision.empty();
}
}  // namespace kairo::launcher
