// agents/watcher/status_json.h - a status as JSON: for the Workspace object and for NATS. Pure.
#pragma once
#include <cstdint>
#include <string>

#include "schemas/command_generated.h"
#include "schemas/status_generated.h"

namespace kairo::watcher {
// The object for server-side apply on the status sub-resource.
// It names the uid: a namesake that was applied meanwhile is a conflict and keeps its own status.
std::string status_object(const wire::CommandT& command);
// CloudEvents 1.0, structured JSON mode; type dev.kairo.workspace.status.v1, or .deleted.v1 when
// the command has no status: the Workspace is gone. `id` is unique per status of one Workspace, so
// that a subscriber can drop repeats.
std::string status_event(const wire::CommandT& command, std::int64_t now_ms);
// "kairo.status.default.tune-me"
std::string status_subject(const std::string& ns, const std::string& name);
}  // namespace kairo::watcher
