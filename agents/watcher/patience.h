// agents/watcher/patience.h - how long a status that differs from the one that was told may wait.
// A write is dear (the API server does 150 to 250 a second for all), and most differences are soon
// followed by the next: what comes meanwhile is told with it. Pure.
#pragma once
#include <cstdint>

#include "schemas/record_generated.h"
#include "schemas/status_generated.h"

namespace kairo::watcher {
struct Patience {
  std::int64_t settle_ms = 0;  // since it differs
  std::int64_t apart_ms = 0;   // since the last write
};
// By what differs:                          settle   apart
//   the numbers of a training               -        a hundredth of the time left, 1 to 10 s
//   a message about its nodes               1 s      10 s; of a claim 30 s: it comes in many steps
//   what its adapters wait for              2 s      5 s
//   its phase                               1 s      -
//   a condition about its nodes             1 s      -
//   the same, and its Job is on its way     5 s      -
//   other words of conditions               2 s      -: most troubles of a new pod pass
//   its state, or anything else             -        -
// Why somebody waits is told within 2 s; how far a machine is that comes, within 30.
Patience patience(const wire::StatusT& told, const wire::StatusT& now);
// Of the first status: none where somebody must act; else for the provisioner's word, and a moment
// for what the others do on it. One that tells of other Workspaces waits for news of them.
Patience first_patience(const wire::RecordT& record);
}  // namespace kairo::watcher
