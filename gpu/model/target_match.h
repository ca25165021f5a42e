// gpu/model/target_match.h - LoraTargets as peft 0.21 matches them against module paths.
#pragma once
#include <memory>
#include <string>

#include "gpu/formats/lora_targets.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
// Regular expressions run in time linear in the path (RE2), so that no pattern stops a run; what
// RE2 does not have (look-ahead, back-references) is refused.
class TargetMatch {
 public:
  // invalid: no target, a pattern that is none or is longer than 1,000 characters, or fields that
  // peft does not take together; names the field.
  static Result<TargetMatch> make(const LoraTargets& targets);
  TargetMatch(TargetMatch&&) noexcept;
  ~TargetMatch();
  // linear: whether the path is a linear module's.
  bool matches(const std::string& path, bool linear) const;
  // Whether the i-th name alone matches the path; excluded modules count.
  bool name_matches(std::size_t i, const std::string& path) const;

 private:
  struct Patterns;
  explicit TargetMatch(const LoraTargets& targets);
  bool in_layers(const std::string& path) const;
  LoraTargets targets_;
  std::unique_ptr<Patterns> patterns_;
};
bool is_all_linear(const LoraTargets& targets);
}  // namespace kairo::gpu
