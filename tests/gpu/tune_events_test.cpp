// What this proves: the event files beside a training are what its progress.jsonl says, whatever
// lay there before; and a folder that cannot be written stops nothing.
#include "gpu/tune_events.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "gpu/engine/progress.h"
#include "gpu/formats/files.h"
#include "tests/gpu/support.h"

namespace kairo::gpu {
namespace {
namespace fs = std::filesystem;
wire::ProgressT line(std::uint32_t attempt, std::uint32_t step, std::uint32_t from = 0) {
  wire::ProgressT out;
  out.phase = wire::RunPhase::Training;
  out.attempt = attempt;
  out.step = step;
  out.resumed_from = from;
  out.loss = 1.0F / static_cast<float>(step + 1);
  out.at_ms = 1'764'000'000'000 + attempt * 100'000 + step * 1'000;
  return out;
}
struct Bench {
  test::TempFolder folder;
  std::string progress = folder.path() + "/progress.jsonl",
              logs = folder.path() + "/volume/logs/r1";
  void say(EventFiles& events, const wire::ProgressT& l) const {
    std::ofstream(progress, std::ios::app) << progress_json(l) << "\n";
    events.take(l);
  }
  std::string bytes(const std::string& name) const {
    const auto got = read_file(logs + "/" + name, 1 << 20);
    return got.ok() ? got.value() : "";
  }
};
constexpr const char* first = "events.out.tfevents.1764000101.kairo.1";
constexpr const char* second = "events.out.tfevents.1764000203.kairo.2";
}  // namespace

TEST_CASE_FIXTURE(Bench, "killed and resumed, with a torn tail: as if nothing had been") {
  {
    EventFiles events(logs, progress);
    for (std::uint32_t step = 0; step <= 2; ++step) say(events, line(1, step));
  }
  const std::string whole = bytes(first);
  CHECK_FALSE(whole.empty());
  fs::resize_file(logs + "/" + first, whole.size() - 5);
  REQUIRE(write_file(logs + "/events.out.tfevents.1700000000.kairo.1", "of a lost machine").ok());
  REQUIRE(write_file(logs + "/events.out.tfevents.1700000000.somebody", "not ours").ok());
  EventFiles events(logs, progress);
  say(events, line(2, 1, 1));
  CHECK(bytes(first) == whole);
  CHECK_FALSE(fs::exists(logs + "/events.out.tfevents.1700000000.kairo.1"));
  CHECK(bytes("events.out.tfevents.1700000000.somebody") == "not ours");
  say(events, line(2, 2, 1));  // again
  CHECK_FALSE(fs::exists(logs + "/" + second));
  say(events, line(2, 3, 1));
  say(events, line(2, 4, 1));
  CHECK(bytes(first) == whole);
  tensorboard::RunLog log;
  const std::vector<wire::ProgressT> lines = {line(1, 1),    line(1, 2),    line(2, 1, 1),
                                              line(2, 2, 1), line(2, 3, 1), line(2, 4, 1)};
  const auto files = tensorboard::files_of(log, lines);
  CHECK(bytes(first) == files.at(first));
  CHECK(bytes(second) == files.at(second));
}
TEST_CASE_FIXTURE(Bench, "a folder that cannot be made: said once, and nothing else happens") {
  REQUIRE(write_file(folder.path() + "/volume", "a file").ok());
  EventFiles events(logs, progress);
  say(events, line(1, 1));
  fs::remove(folder.path() + "/volume");
  say(events, line(1, 2));
  CHECK_FALSE(fs::exists(logs));
}
}  // namespace kairo::gpu
