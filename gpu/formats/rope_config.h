// gpu/formats/rope_config.h - reads a config.json's fields about positions.
#pragma once
#include <string>

#include "gpu/formats/config_fields.h"
#include "gpu/formats/model_config.h"

namespace kairo::gpu {
// rope_scaling that says something wins over rope_parameters, as in transformers 5.24; rope_theta
// is the winner's own, or the whole config's. f: the whole config. theta: where nothing says it.
// Returns an error or "".
std::string parse_rope(RopeConfig& rope, Fields& f, const std::string& file, std::int64_t positions,
                       double theta);
}  // namespace kairo::gpu
