// What this proves: for any seed - crashes at every boundary of batch and effect, duplicates,
// delays, reordering, a bus that loses its tail or its store, stale reads, late watches, API
// errors, a clock that jumps hours, lost and older stores, replicas that take over, leases that
// run out, an etcd that is put back, hands that meddle, forgers, lost nodes - every Workspace ends
// where a perfect world ends: trained once per wish, pushed once, told truthfully, cleaned up.
// SEED=n replays one seed (TRACE=1 prints its events); RUNS=n runs so many.
#include "tests/sim/system.h"

#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <thread>

using namespace kairo;
namespace {
constexpr int acts = 700;

std::uint64_t number(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}
// Every boundary at which a process can die: of each effect, of the batch.
std::vector<std::string> boundaries() {
  std::vector<std::string> out{
      "loop before batch",   "loop after batch",   "source before",         "source inside",
      "source after",        "ApplyTuning inside", "ApplyInference inside", "RemoveWorkload inside",
      "SaveRevision inside", "PatchStatus inside", "SetFinalizer inside",   "PushImage inside"};
  for (const wire::CommandBody kind : wire::EnumValuesCommandBody())
    if (kind != wire::CommandBody::NONE)
      for (const char* where : {" before", " after"}) out.push_back(runtime::kind_of(kind) + where);
  return out;
}
}  // namespace

TEST_CASE("system: any seed ends where a perfect world ends") {
  const bool one = std::getenv("SEED") != nullptr;
  const std::uint64_t first = number("SEED", 1), count = one ? 1 : number("RUNS", 2000);
  std::atomic<std::uint64_t> next = first;
  std::atomic<int> failures = 0;
  std::mutex mutex;
  std::map<std::string, std::uint64_t> crashes;
  std::string broken;
  const auto work = [&] {
    for (std::uint64_t seed = next++;
         seed < first + count && failures < static_cast<int>(number("FAILURES", 5));
         seed = next++) {
      sim::System system(seed);
      const std::string verdict = system.live(acts);
      const std::lock_guard lock(mutex);
      for (const auto& [where, times] : system.crashes()) crashes[where] += times;
      if (verdict.empty()) continue;
      ++failures;
      broken += "SEED=" + std::to_string(seed) + ": " + verdict + "\n";
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 1; i < std::thread::hardware_concurrency(); ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  CHECK_MESSAGE(broken.empty(), broken);
  std::uint64_t all = 0;
  for (const auto& [where, times] : crashes) all += times;
  MESSAGE(count << " seeds, " << all << " crashes");
  if (count < 2000) return;  // too few for all of them
  for (const std::string& where : boundaries()) {
    CAPTURE(where);
    CHECK(crashes[where] > 0);
  }
}
TEST_CASE("system: a seed replays bit-equal") {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    std::string traces[2];
    for (std::string& trace : traces) {
      sim::System system(seed);
      (void)system.live(acts);
      trace = system.trace();
    }
    CHECK(traces[0] == traces[1]);
  }
}
TEST_CASE("system: a node lost with its disk takes the steps since the last checkpoint only") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    CHECK(sim::System(seed).live_through_a_lost_disk() == "");
  }
}
TEST_CASE("system: a training that hangs is started four times, whatever becomes of its agent") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    CHECK(sim::System(seed).live_through_hangs() == "");
  }
}
