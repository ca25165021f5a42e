// gpu/serve/defaults.h - what a model's generation_config.json wants where a request says nothing.
// As vLLM reads it: do_sample is not looked at; temperature 0 is greedy.
#pragma once
#include <string>

#include "gpu/serve/sampler.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
struct Defaults {
  Sampling sampling;
  int max_tokens = 0;  // of a chat's answer; 0 = as many as the context has room for
};
constexpr int tokens_max = 1 << 24;  // of an answer, in any setting
class Fields;
// temperature, top_p, min_p, top_k (0 and -1: all), repetition_penalty.
void read_sampling(Fields& fields, Sampling& out);
// dir/generation_config.json may be absent. invalid: a value that no request may have either.
Result<Defaults> load_defaults(const std::string& dir);
}  // namespace kairo::gpu
