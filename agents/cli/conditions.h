// agents/cli/conditions.h - a Workspace's conditions. Pure.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace kairo::cli {
struct Condition {
  std::string value, reason, message;  // all "" when there is none of the type
};
Condition condition_of(const nlohmann::json& workspace, const std::string& type);
// What the Workspace waits for, in its own words; "" when nothing is wrong.
std::string waiting_for(const nlohmann::json& workspace);
}  // namespace kairo::cli
