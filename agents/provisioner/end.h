// agents/provisioner/end.h - why a claim ended that nobody here wished away. Pure.
#pragma once
#include "agents/provisioner/stage.h"

namespace kairo::provisioner {
// In the provider's words, which are only in an Event; asked for up to three times, since it may be
// written after the claim has gone.
Told explain(runtime::Decision& d, const wire::RecordT& record, const wire::NodeClaimT& end,
             std::int64_t now_ms);
}  // namespace kairo::provisioner
