// agents/runtime/service.cpp - the threads of an agent; no decision is made here.
#include "agents/runtime/service.h"

#include <cstdlib>
#include <fstream>
#include <mutex>
#include <thread>
#include <utility>

#include "agents/runtime/complaint.h"
#include "agents/runtime/health.h"
#include "agents/runtime/metrics.h"
#include "agents/runtime/start_pages.h"
#include "schemas/base/log.h"

namespace kairo::runtime {
namespace {
constexpr auto round_wait = std::chrono::milliseconds(1000);
constexpr std::int64_t alive_ms = 30'000;

// A sensor ends when it is told to. One that throws (a library, over bytes that nobody foresaw) is
// started again: the others and the loop go on meanwhile.
void keep_running(const Sensor& sensor, const std::atomic<bool>& ending) {
  while (!ending) {
    try {
      sensor(ending);
    } catch (const std::exception& error) {
      log::error("a sensor failed and is started again", {{"error", error.what()}});
      std::this_thread::sleep_for(round_wait);
    }
  }
}
// Renews the lease, or looks whether it is free; when there is news the loop need not wait.
void tend(Tenure& tenure, Loop& loop, Vitals& vitals, const std::atomic<bool>& stop,
          const std::atomic<bool>& ending) {
  const SystemClock clock;
  Complaint complaint;
  while (!ending) {
    const std::uint64_t before = tenure.term();
    const Status done = tenure.tend();
    if (tenure.is_lost()) {
      log::error(
          "another process acts by now: this one ends, and stands by when it is started again");
      std::_Exit(1);
    }
    vitals.report("lease", done);
    if (complaint.is_due(!done.ok(), clock.monotonic_ms()))
      log::warn("the lease cannot be renewed: nothing is done meanwhile",
                {{"error", done.error().what}});
    const std::uint64_t term = tenure.term();
    if (term != before) {
      log::info(term != 0 ? "it acts from here on" : "it is not sure of its lease: it does nothing",
                {{"term", std::to_string(term)}});
      loop.wake();
    }
    std::int64_t pause_ms = done.ok() && term != 0 ? lease_renew_ms : lease_look_ms;
    for (; pause_ms > 0 && !ending; pause_ms -= 20) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      if (stop) loop.wake();
    }
  }
}
// What the loop's own thread saw last, for the health server's threads.
class Seen {
 public:
  void look(const Loop& loop) {
    const std::lock_guard lock(mutex_);
    figures_ = {loop.records(), loop.facts(), loop.decisions(), loop.quarantined()};
    figures_.acting = loop.is_acting() ? 1 : 0;
    is_ready_ = loop.is_ready();
  }
  std::pair<Figures, bool> last() const {
    const std::lock_guard lock(mutex_);
    return {figures_, is_ready_};
  }

 private:
  mutable std::mutex mutex_;
  Figures figures_;
  bool is_ready_ = false;
};
}  // namespace

Status serve(Loop& loop, Relay& relay, const ServiceOptions& options,
             const std::atomic<bool>& stop) {
  if (options.tenure != nullptr) {
    (void)options.tenure->tend();  // whether the store may be gone on from hangs on it
    if (options.tenure->term() == 0) log::info("it stands by");
  }
  TRY(loop.start());
  const SystemClock clock;
  std::atomic<std::int64_t> round_ms{clock.monotonic_ms()};
  Seen seen;
  const auto probe = [&] {
    auto [figures, is_ready] = seen.last();
    figures.outbox_rows = relay.waiting();
    figures.effects = relay.performed();
    Health health;
    health.alive = clock.monotonic_ms() - round_ms < alive_ms;
    health.metrics = metrics_text(options.agent, figures, options.vitals->all());
    if (options.more_metrics) health.metrics += options.more_metrics();
    health.trouble = options.vitals->trouble();
    if (health.trouble.empty() && !is_ready) health.trouble = "starting: the facts are being read";
    health.acts = figures.acting != 0;
    return health;
  };
  const auto health = TRY(HealthServer::start(options.health_host, options.health_port, probe));
  if (!options.port_file.empty()) std::ofstream(options.port_file) << health->port() << "\n";

  std::atomic<bool> ending{false};
  std::vector<std::thread> threads, workers;
  if (options.tenure != nullptr)
    threads.emplace_back([&] { tend(*options.tenure, loop, *options.vitals, stop, ending); });
  for (int i = 0; i < options.workers; ++i)
    workers.emplace_back([&] {
      while (!ending)
        if (!relay.step()) relay.wait(round_wait / 4);
    });
  for (const auto& sensor : options.sensors)
    threads.emplace_back([&, sensor] { keep_running(sensor, ending); });

  Status result = ok();
  bool is_started = false, has_worked = true;  // since free pages were let go of
  Complaint complaint;
  auto wait =
      std::chrono::milliseconds(0);  // the first round says at once whether the agent is ready
  while (!stop && result.ok()) {
    const std::uint64_t work = loop.facts() + loop.decisions();
    const Status round = loop.step(std::exchange(wait, round_wait));
    if (work != loop.facts() + loop.decisions()) {
      has_worked = true;
    } else if (std::exchange(has_worked, false) && is_started) {
      let_go_of_free_pages();
    }
    round_ms = clock.monotonic_ms();
    seen.look(loop);
    if (!std::exchange(is_started, is_started || loop.is_ready()) && is_started)
      let_go_of_start_pages();
    const bool is_due = complaint.is_due(!round.ok(), clock.monotonic_ms());
    if (round.ok()) continue;
    if (round.error().code == Code::corrupt) result = round;
    if (is_due) log::warn("round failed", {{"error", round.error().what}});
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  ending = true;
  for (std::thread& worker : workers) worker.join();
  if (options.tenure != nullptr) options.tenure->end();  // nothing is done any more
  for (std::thread& thread : threads) thread.join();
  return result;
}
}  // namespace kairo::runtime
