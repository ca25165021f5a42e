// agents/runtime/vitals.cpp - a small board under a lock.
#include "agents/runtime/vitals.h"

namespace kairo::runtime {
Vitals::Kept& Vitals::known(const std::string& name) {
  const auto [at, is_new] = kept_.try_emplace(name);
  if (is_new) at->second.ok_ms = clock_.monotonic_ms();
  return at->second;
}
void Vitals::expect(const std::string& name, std::int64_t limit_ms) {
  const std::lock_guard lock(mutex_);
  Kept& kept = known(name);
  kept.ok_ms = clock_.monotonic_ms();
  kept.limit_ms = limit_ms;
}
void Vitals::report(const std::string& name, const Status& how) {
  const std::lock_guard lock(mutex_);
  Kept& kept = known(name);
  kept.trouble = how.ok() ? "" : how.error().what;
  if (how.ok()) kept.ok_ms = clock_.monotonic_ms();
}
std::vector<Vital> Vitals::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<Vital> out;
  for (const auto& [name, kept] : kept_)
    out.push_back({name, clock_.monotonic_ms() - kept.ok_ms, kept.limit_ms, kept.trouble});
  return out;
}
std::string Vitals::trouble() const {
  std::string out;
  for (const Vital& vital : all()) {
    if (vital.is_ok()) continue;
    const std::string what =
        !vital.trouble.empty() ? vital.trouble
                               : "nothing heard for " + std::to_string(vital.age_ms / 1000) + " s";
    out += (out.empty() ? "" : "; ") + vital.name + ": " + what;
  }
  return out;
}
}  // namespace kairo::runtime
