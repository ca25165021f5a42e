// What this proves: /readyz says in words what is wrong, and /metrics in figures.
#include "agents/runtime/vitals.h"

#include <doctest/doctest.h>

#include "agents/runtime/metrics.h"
#include "tests/support/loop_world.h"

using namespace kairo;
using namespace kairo::test;
using namespace std::chrono_literals;

TEST_CASE("vitals: trouble in words, cleared by what goes well") {
  FakeClock clock;
  runtime::Vitals vitals(clock);
  CHECK(vitals.trouble().empty());
  vitals.report("bus", Error{Code::unavailable, "not connected"});
  vitals.report("store", ok());
  CHECK(vitals.trouble() == "bus: not connected");
  vitals.report("store", Error{Code::unavailable, "no space left on device"});
  CHECK(vitals.trouble() == "bus: not connected; store: no space left on device");
  vitals.report("bus", ok());
  vitals.report("store", ok());
  CHECK(vitals.trouble().empty());
}
TEST_CASE("vitals: silence is trouble where something is expected") {
  FakeClock clock;
  runtime::Vitals vitals(clock);
  vitals.expect("watch jobs", 30'000);
  vitals.report("store", ok());
  clock.advance(30'000);
  CHECK(vitals.trouble().empty());
  clock.advance(45'000);
  CHECK(vitals.trouble() == "watch jobs: nothing heard for 75 s");
  vitals.report("watch jobs", ok());
  CHECK(vitals.trouble().empty());
}
TEST_CASE("vitals: the loop tells of its bus and its store") {
  LoopWorld w({[](const wire::RecordT&, const runtime::View&) { return runtime::Decision(); }});
  CHECK(w.vitals.trouble().empty());
  w.say(tuning(1));
  w.store.full = true;
  CHECK_FALSE(w.loop->step(0ms).ok());
  CHECK(w.vitals.trouble() == "store: no space left on device");
  w.store.full = false;
  w.settle();
  CHECK(w.vitals.trouble().empty());
}
TEST_CASE("metrics: a figure each, and each vital's age") {
  runtime::Figures figures;
  figures.records = 3;
  figures.quarantined = 1;
  const std::string text = runtime::metrics_text(
      "watcher", figures, {{"bus", 1'500, 0, ""}, {"watch jobs", 75'000, 30'000, ""}});
  for (const char* line :
       {"kairo_records{agent=\"watcher\"} 3\n", "kairo_quarantined{agent=\"watcher\"} 1\n",
        "kairo_decisions_total{agent=\"watcher\"} 0\n", "# TYPE kairo_vital_age_seconds gauge\n",
        "kairo_vital_age_seconds{agent=\"watcher\",name=\"bus\"} 1.500\n",
        "kairo_vital_age_seconds{agent=\"watcher\",name=\"watch jobs\"} 75.000\n",
        "kairo_vital_ok{agent=\"watcher\",name=\"bus\"} 1\n",
        "kairo_vital_ok{agent=\"watcher\",name=\"watch jobs\"} 0\n"}) {
    CAPTURE(line);
    CHECK(text.find(line) != std::string::npos);
  }
}
