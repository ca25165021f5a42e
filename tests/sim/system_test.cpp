// What this proves: for any seed - crashes at every effect boundary, duplicates, delays,
// reordering, a bus that loses its tail or its store, stale reads, API errors, clock jumps - every
// Workspace ends where a perfect world ends: trained once per revision, pushed once, told
// truthfully, cleaned up. SEED=n replays one seed; RUNS=n runs n fresh ones beside the fixed.
#include "tests/sim/system.h"

#include <doctest/doctest.h>

#include <cstdlib>

using namespace kairo;
namespace {
std::uint64_t number(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}
std::string run(std::uint64_t seed, std::uint64_t& crashes, std::string* trace = nullptr) {
  sim::System system(seed);
  std::mt19937_64 user(seed * 31 + 1);
  const char* names[] = {"a", "b"};
  system.apply("a", 1);
  for (int i = 0; i < 300; ++i) {
    system.act();
    if (user() % 60 != 0) continue;
    const char* name = names[user() % 2];
    if (user() % 4 == 0)
      system.remove(name);
    else
      system.apply(name, static_cast<int>(user() % 3));
  }
  system.heal();
  crashes += system.crashes;
  if (trace != nullptr) *trace = system.trace();
  return system.verdict();
}
}  // namespace

TEST_CASE("system: any seed ends where a perfect world ends") {
  const bool one = std::getenv("SEED") != nullptr;
  const std::uint64_t first = number("SEED", 1), count = one ? 1 : number("RUNS", 2000);
  std::uint64_t crashes = 0;
  int failures = 0;
  for (std::uint64_t seed = first; seed < first + count && failures < 5; ++seed) {
    const std::string verdict = run(seed, crashes);
    if (verdict.empty()) continue;
    ++failures;
    FAIL_CHECK("SEED=" << seed << ": " << verdict);
  }
  MESSAGE(count << " seeds, " << crashes << " crashes");
}
TEST_CASE("system: a seed replays bit-equal") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    std::uint64_t crashes = 0;
    std::string once, again;
    (void)run(seed, crashes, &once);
    (void)run(seed, crashes, &again);
    CHECK(once == again);
  }
}
