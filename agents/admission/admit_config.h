// agents/admission/admit_config.h - the ConfigMap of a tuning: KAITO's rules T5-T12. Pure.
#pragma once
#include <string>

namespace kairo::admission {
// config_map: the object's JSON. What is wrong, in KAITO's words; "" = nothing. Sections and keys
// of the trainer are checked by the trainer itself, which knows them.
std::string check_training_config(const std::string& config_map, const std::string& name,
                                  const std::string& method);
}  // namespace kairo::admission
