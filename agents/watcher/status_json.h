// agents/watcher/status_json.h - a status as JSON: for the Workspace object and for NATS. Pure.
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "schemas/command_generated.h"
#include "schemas/fact_generated.h"
#include "schemas/status_generated.h"

namespace kairo::watcher {
// The merge patch of a Workspace's status: {"status": {...}}, null for what it does not have.
std::string status_patch(const wire::StatusT& status);
// Names the content of a status as far as it is ours to write.
std::string status_hash(const wire::StatusT& status);
// What a Workspace shows of one; version 0.
wire::StatusSeenT status_seen(const nlohmann::json& workspace);
// CloudEvents 1.0, structured JSON mode; type dev.kairo.workspace.status.v1, or .deleted.v1 when
// the command has no status: the Workspace is gone. `id` is unique per status of one Workspace, so
// that a subscriber can drop repeats.
std::string status_event(const wire::CommandT& command, std::int64_t now_ms);
// "kairo.status.default.tune-me"
std::string status_subject(const std::string& ns, const std::string& name);
}  // namespace kairo::watcher
