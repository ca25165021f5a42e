// agents/launcher/vllm_flags.h - an inference ConfigMap's section `vllm` as command-line words.
// Pure.
//
// As KAITO reads it: `inference_config.yaml`, each key of `vllm` a flag of `vllm serve`, after our
// own, so that it wins. true: the flag alone; false: --no-FLAG; maps and lists: JSON text.
#pragma once
#include <string>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::launcher {
// config_map: the object's JSON; name: for messages. conflict: what is wrong, and the remedy.
Result<std::vector<std::string>> vllm_flags(const std::string& config_map, const std::string& name);
// The same section for kairo's own engine, as words of kairo-serve. Of vLLM's flags it knows
// `quantization: bitsandbytes`; the others are for a node where vLLM serves, and refused where
// there is none (is_local).
Result<std::vector<std::string>> native_words(const std::string& config_map,
                                              const std::string& name, bool is_local);
}  // namespace kairo::launcher
