// agents/runtime/service.cpp - the threads of an agent; no decision is made here.
#include "agents/runtime/service.h"

#include <fstream>
#include <mutex>
#include <thread>
#include <utility>

#include "agents/runtime/complaint.h"
#include "agents/runtime/health.h"
#include "agents/runtime/metrics.h"
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
// What the loop's own thread saw last, for the health server's threads.
class Seen {
 public:
  void look(const Loop& loop) {
    const std::lock_guard lock(mutex_);
    figures_ = {loop.records(), loop.facts(), loop.decisions(), loop.quarantined()};
    is_reading_ = !loop.is_whole();
  }
  std::pair<Figures, bool> last() const {
    const std::lock_guard lock(mutex_);
    return {figures_, is_reading_};
  }

 private:
  mutable std::mutex mutex_;
  Figures figures_;
  bool is_reading_ = true;
};
}  // namespace

Status serve(Loop& loop, Relay& relay, const ServiceOptions& options,
             const std::atomic<bool>& stop) {
  TRY(loop.start());
  const SystemClock clock;
  std::atomic<std::int64_t> round_ms{clock.monotonic_ms()};
  Seen seen;
  const auto probe = [&] {
    auto [figures, is_reading] = seen.last();
    figures.outbox_rows = relay.waiting();
    figures.effects = relay.performed();
    Health health;
    health.alive = clock.monotonic_ms() - round_ms < alive_ms;
    health.metrics = metrics_text(options.agent, figures, options.vitals->all());
    health.trouble = options.vitals->trouble();
    if (health.trouble.empty() && is_reading) health.trouble = "starting: the facts are being read";
    return health;
  };
  const auto health = TRY(HealthServer::start(options.health_host, options.health_port, probe));
  if (!options.port_file.empty()) std::ofstream(options.port_file) << health->port() << "\n";

  std::atomic<bool> ending{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < options.workers; ++i)
    threads.emplace_back([&] {
      while (!ending)
        if (!relay.step()) relay.wait(round_wait / 4);
    });
  for (const auto& sensor : options.sensors)
    threads.emplace_back([&, sensor] { keep_running(sensor, ending); });

  Status result = ok();
  Complaint complaint;
  auto wait =
      std::chrono::milliseconds(0);  // the first round says at once whether the agent is ready
  while (!stop && result.ok()) {
    const Status round = loop.step(std::exchange(wait, round_wait));
    round_ms = clock.monotonic_ms();
    seen.look(loop);
    const bool is_due = complaint.is_due(!round.ok(), clock.monotonic_ms());
    if (round.ok()) continue;
    if (round.error().code == Code::corrupt) result = round;
    if (is_due) log::warn("round failed", {{"error", round.error().what}});
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  ending = true;
  for (std::thread& thread : threads) thread.join();
  return result;
}
}  // namespace kairo::runtime
