// agents/runtime/outlives.h - which intents are on disk before they are performed.
#pragma once
#include "schemas/command_generated.h"

namespace kairo::runtime {
// false: when the machine ends, and the intent with it, the same one is decided again from what
// others say or what lies on the disk, and doing it twice is doing it once. So the milliseconds of
// a sync are not waited for; the end of the process loses no intent in any case.
bool must_outlive_the_machine(const wire::CommandT& command);
}  // namespace kairo::runtime
