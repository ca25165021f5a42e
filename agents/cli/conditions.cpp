// agents/cli/conditions.cpp
#include "agents/cli/conditions.h"

#include <nlohmann/json.hpp>

namespace kairo::cli {
using Json = nlohmann::json;

Condition condition_of(const Json& workspace, const std::string& type) {
  const Json::json_pointer at("/status/conditions");
  if (workspace.contains(at))
    for (const Json& c : workspace[at])
      if (c.value("type", "") == type)
        return {c.value("status", ""), c.value("reason", ""), c.value("message", "")};
  return {};
}

std::string waiting_for(const Json& workspace) {
  for (const char* type : {"ResourceReady", "JobStarted", "InferenceReady", "WorkspaceSucceeded"}) {
    const Condition c = condition_of(workspace, type);
    if (c.value == "False" && c.reason != "workspacePending") return c.reason + ": " + c.message;
  }
  return {};
}
}  // namespace kairo::cli
