// tests/sim/hung.cpp - what a node's agent sees of its trainings; and one whose processes make no
// step: each is ended, the fourth for good, however often the agent that counts them begins anew.
#include <algorithm>

#include "agents/cluster/kinds.h"
#include "tests/sim/json_at.h"
#include "tests/sim/system.h"

namespace kairo::sim {
// What node::ProgressSensor does, on the model's disk.
void System::sense(Agent& agent) {
  constexpr std::int64_t patience_ms = 30'000;
  std::map<std::string, Agent::Sensed> told;
  DiskModel& disk = machines_.disk(agent.node);
  for (const node::RunKey& run : disk.list().value()) {
    const auto step = disk.steps.find(DiskModel::key_of(run));
    if (step == disk.steps.end()) continue;
    wire::ProgressT progress;
    progress.phase = wire::RunPhase::Training;
    progress.step = step->second;
    progress.attempt = disk.attempts[step->first];
    progress.gpu = machines_.hung ? "GPU-1" : "";
    Agent::Sensed now;
    const auto before = agent.sensed.find(step->first);
    if (before != agent.sensed.end()) {
      now = before->second;
    } else {
      const auto words = agent.loop->last_facts(wire::FactBody::Training);
      if (!words) continue;
      now.stall = node::StallWatch::recalled(*words, run.uid, run.revision, agent.node);
    }
    const bool is_new = before == agent.sensed.end() || now.progress != progress;
    if (is_new) now.stall.moved(progress, patience_ms, clock_.monotonic_ms());
    const bool is_news = is_new || now.stall.look(0, clock_.monotonic_ms());
    now.progress = progress;
    told[step->first] = now;
    if (!is_news) continue;
    wire::TrainingT training;
    training.node = agent.node;
    training.revision = run.revision;
    training.progress = std::make_unique<wire::ProgressT>(progress);
    now.stall.say(training);
    wire::FactT fact;
    fact.uid = run.uid;
    fact.ns = run.ns;
    fact.name = run.name;
    fact.body.Set(std::move(training));
    agent.loop->observe(std::move(fact), true);
  }
  agent.sensed = std::move(told);
  agent.adapters->tend(agent.clock.now_ms());
}

std::string System::live_through_hangs() {
  dice_.healed = true;
  user_.wish_plain();
  user_.apply("a");
  const auto processes = [this] {
    unsigned out = 0;
    for (const auto& [node, disk] : machines_.disks)
      for (const auto& [run, attempts] : disk.attempts) out += attempts;
    return out;
  };
  for (int round = 0; round < 200 && processes() == 0; ++round) {
    everybody();
    pass(500);
  }
  if (processes() == 0) return "no training has begun";
  for (auto& [node, disk] : machines_.disks)  // it has made a step
    for (const auto& [run, attempts] : disk.attempts) disk.steps[run] = 1;
  machines_.hung = true;
  unsigned agents_anew = 0;
  for (int round = 0; round < 200; ++round) {
    everybody();
    pass(2'000);
    for (auto& agent : agents_) {
      if (agent->name != "node" || dice_.below(12) != 0) continue;
      if (dice_.below(2) == 0) agent->disk.lose_power();
      restart(*agent);
      ++agents_anew;
    }
  }
  settle();
  if (agents_anew < 4) return "the agent has hardly died";
  if (processes() != 4) return std::to_string(processes()) + " processes have begun, not 4";
  const auto object = cluster_.get({cluster::workspaces, "default", "a"});
  if (!object.ok()) return object.error().what;
  return object.value().find("the training hangs: 4 times in a row") != std::string::npos
             ? ""
             : "the status does not say it: " + object.value();
}
}  // namespace kairo::sim
