// gpu/model/target_match.cpp - names by suffix, expressions by RE2.
#include "gpu/model/target_match.h"

#include <re2/re2.h>

#include <algorithm>
#include <vector>

namespace kairo::gpu {
namespace {
constexpr std::size_t pattern_max = 1000;

bool ends_as(const std::string& path, const std::string& name) {
  return path == name || path.ends_with("." + name);
}
Error bad(const std::string& what) {
  return {Code::invalid, "LoraConfig." + what};
}
Result<std::unique_ptr<re2::RE2>> compile(const std::string& field, const std::string& pattern,
                                          const std::string& whole) {
  if (pattern.size() > pattern_max)
    return bad(field + ": an expression of " + std::to_string(pattern.size()) +
               " characters; at most " + std::to_string(pattern_max));
  re2::RE2::Options options;
  options.set_log_errors(false);
  auto out = std::make_unique<re2::RE2>(whole, options);
  if (out->ok()) return out;
  return bad(field + ": \"" + pattern + "\" is no regular expression here: " + out->error() +
             " (look-ahead and back-references are not supported)");
}
}  // namespace

struct TargetMatch::Patterns {
  std::unique_ptr<re2::RE2> target, exclude;
  std::vector<std::unique_ptr<re2::RE2>> layers;
};

bool is_all_linear(const LoraTargets& t) {
  return t.pattern.empty() && t.names.size() == 1 && t.names[0] == "all-linear";
}

TargetMatch::TargetMatch(const LoraTargets& targets)
    : targets_(targets), patterns_(std::make_unique<Patterns>()) {}
TargetMatch::TargetMatch(TargetMatch&&) noexcept = default;
TargetMatch::~TargetMatch() = default;

Result<TargetMatch> TargetMatch::make(const LoraTargets& t) {
  if (t.names.empty() && t.pattern.empty()) return bad("target_modules: is empty");
  if (!t.layers.empty() && (!t.pattern.empty() || is_all_linear(t)))
    return bad("layers_to_transform: needs target_modules as a list of names, as in peft");
  if (!t.layers_pattern.empty() && t.layers.empty())
    return bad("layers_pattern: needs layers_to_transform, as in peft");
  TargetMatch out(t);
  if (!t.pattern.empty())
    out.patterns_->target = TRY(compile("target_modules", t.pattern, t.pattern));
  if (!t.exclude_pattern.empty())
    out.patterns_->exclude = TRY(compile("exclude_modules", t.exclude_pattern, t.exclude_pattern));
  // The first number behind what the pattern, or any name, ends with.
  for (const auto& p : t.layers_pattern)
    out.patterns_->layers.push_back(
        TRY(compile("layers_pattern", p, "^(?:|.*?\\.)(?:" + p + ")\\.(?P<layer>\\d+)\\.")));
  if (t.layers_pattern.empty())
    out.patterns_->layers.push_back(
        TRY(compile("layers_pattern", "", "^.*?\\.[^.]*\\.(?P<layer>\\d+)\\.")));
  return out;
}

bool TargetMatch::in_layers(const std::string& path) const {
  if (targets_.layers.empty()) return true;
  for (const auto& pattern : patterns_->layers) {
    const int group = pattern->NamedCapturingGroups().at("layer");
    std::vector<re2::StringPiece> found(static_cast<std::size_t>(group) + 1);
    if (!pattern->Match(path, 0, path.size(), re2::RE2::UNANCHORED, found.data(), group + 1))
      continue;
    const std::string number(found.back());
    return std::ranges::any_of(targets_.layers,
                               [&](std::int64_t l) { return std::to_string(l) == number; });
  }
  return false;
}

bool TargetMatch::name_matches(std::size_t i, const std::string& path) const {
  return ends_as(path, targets_.names[i]);
}

bool TargetMatch::matches(const std::string& path, bool linear) const {
  const auto is_end = [&](const std::string& name) { return ends_as(path, name); };
  if (patterns_->exclude && re2::RE2::FullMatch(path, *patterns_->exclude)) return false;
  if (std::ranges::any_of(targets_.exclude, is_end)) return false;
  if (patterns_->target) return re2::RE2::FullMatch(path, *patterns_->target);
  if (is_all_linear(targets_)) return linear;
  if (std::ranges::find(targets_.names, path) != targets_.names.end()) return true;
  return std::ranges::any_of(targets_.names, is_end) && in_layers(path);
}
}  // namespace kairo::gpu
