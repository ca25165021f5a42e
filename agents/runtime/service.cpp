// agents/runtime/service.cpp - the threads of an agent; no decision is made here.
#include "agents/runtime/service.h"

#include <fstream>
#include <thread>
#include <utility>

#include "agents/runtime/complaint.h"
#include "agents/runtime/health.h"
#include "schemas/base/log.h"

namespace kairo::runtime {
namespace {
constexpr auto round_wait = std::chrono::milliseconds(1000);
constexpr std::int64_t alive_ms = 30'000;

std::string metrics_text(const std::string& agent, std::size_t records, std::uint64_t facts,
                         std::size_t waiting, std::uint64_t performed) {
  const std::string label = "{agent=\"" + agent + "\"} ";
  const auto line = [&](const char* name, const char* type, std::uint64_t value) {
    return std::string("# TYPE ") + name + " " + type + "\n" + name + label +
           std::to_string(value) + "\n";
  };
  return line("kairo_records", "gauge", records) + line("kairo_facts_total", "counter", facts) +
         line("kairo_outbox_rows", "gauge", waiting) +
         line("kairo_effects_total", "counter", performed);
}
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
}  // namespace

Status serve(Loop& loop, Relay& relay, const ServiceOptions& options,
             const std::atomic<bool>& stop) {
  TRY(loop.start());
  const SystemClock clock;
  std::atomic<std::int64_t> round_ms{clock.monotonic_ms()};
  std::atomic<std::size_t> records{0};
  std::atomic<std::uint64_t> facts{0};
  std::mutex trouble_mutex;
  std::string trouble = "starting";
  const auto probe = [&] {
    Health health;
    health.alive = clock.monotonic_ms() - round_ms < alive_ms;
    health.metrics =
        metrics_text(options.agent, records, facts, relay.waiting(), relay.performed());
    const std::lock_guard lock(trouble_mutex);
    health.trouble = trouble;
    return health;
  };
  const auto health = TRY(HealthServer::start(options.health_port, probe));
  if (!options.port_file.empty()) std::ofstream(options.port_file) << health->port() << "\n";

  std::atomic<bool> ending{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < options.workers; ++i)
    threads.emplace_back([&] {
      while (!ending)
        if (!relay.step()) relay.wait(round_wait / 4);
    });
  for (const auto& sensor : options.sensors)
    threads.emplace_back([&sensor, &ending] { keep_running(sensor, ending); });

  Status result = ok();
  Complaint complaint;
  auto wait =
      std::chrono::milliseconds(0);  // the first round says at once whether the agent is ready
  while (!stop && result.ok()) {
    const Status round = loop.step(std::exchange(wait, round_wait));
    round_ms = clock.monotonic_ms();
    records = loop.records();
    facts = loop.facts();
    {
      const std::lock_guard lock(trouble_mutex);
      trouble = round.ok() ? "" : round.error().what;
    }
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
