// gpu/formats/rope_config.h - reads a config.json's fields about positions.
#pragma once
#include <string>

#include "gpu/formats/config_fields.h"
#include "gpu/formats/family.h"
#include "gpu/formats/model_config.h"

namespace kairo::gpu {
// rope_scaling that says something wins over rope_parameters, as in transformers 5.24; rope_theta
// is the winner's own, or the whole config's. f: the whole config. config: its sizes are known;
// gets rope and rotary_dim. Returns an error or "".
std::string parse_rope(ModelConfig& config, const Family& family, Fields& f,
                       const std::string& file);
}  // namespace kairo::gpu
