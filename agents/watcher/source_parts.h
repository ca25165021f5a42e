// agents/watcher/source_parts.h - how a source reads objects. Private to sources*.cpp.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "agents/cluster/cluster.h"
#include "agents/watcher/workspaces.h"
#include "schemas/fact_generated.h"

namespace kairo::watcher {
constexpr std::int64_t resync_ms = 30 * 60 * 1000;

std::string version_in(const nlohmann::json& object);  // metadata.resourceVersion; "" = none
std::string uid_in(const nlohmann::json& object);
std::uint64_t number(const std::string& version);  // 0 = it is none
Object read(const std::string& text);
bool is_of(const wire::FactT& fact, const cluster::Kind& kind);  // some are of two kinds
}  // namespace kairo::watcher
