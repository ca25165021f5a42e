// agents/watcher/status.h - what a Workspace's status says, composed from facts. Pure.
// Types, reasons, states: KAITO's (tools match on them); what it never tells is in the messages and
// in status.tuning and status.artifact.
#pragma once
#include <cstdint>
#include <string>

#include "schemas/record_generated.h"
#include "schemas/status_generated.h"

namespace kairo::watcher {
// lastTransitionTime is kept, from what was told last or from what the object shows, where a
// condition's status did not change.
// leaving: what a deletion waits for.
wire::StatusT compose(const wire::RecordT& record, std::int64_t now_ms,
                      const std::string& leaving = "");
// How long the second waits after the first was told: a second when only numbers and the phase of a
// training differ; two when only the words of conditions do, as they do step by step while a node
// is bought; else not at all.
constexpr std::int64_t progress_every_ms = 1'000, words_every_ms = 2'000;
std::int64_t patience_ms(const wire::StatusT& before, const wire::StatusT& after);
}  // namespace kairo::watcher
