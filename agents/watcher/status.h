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
// How long the second waits after the first was told. A write is dear: the API server does 150 to
// 250 a second for all. What may differ, and how long it waits then:
//   the numbers of a training    a hundredth of the time that is left, 1 to 10 s
//   its phase                    1 s
//   a message about its nodes    10 s: a bought node comes in many small steps
//   other words of conditions    2 s
//   anything else                not at all
std::int64_t patience_ms(const wire::StatusT& before, const wire::StatusT& after);
}  // namespace kairo::watcher
