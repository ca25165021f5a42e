// gpu/tune_report.h - what `kairo-tune estimate` prints.
#pragma once
#include <string>

#include "gpu/engine/tune.h"

namespace kairo::gpu {
// One line; of a device its plan's lines, too.
std::string estimate_text(const TuneJob& job, const TuneEstimate& estimate);
std::string estimate_json(const TuneJob& job, const TuneEstimate& estimate);  // one object
}  // namespace kairo::gpu
