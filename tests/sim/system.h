// tests/sim/system.h - all agents in one process on memory, driven by one seed.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "agents/bus/memory_bus.h"
#include "agents/runtime/loop.h"
#include "agents/watcher/sources.h"
#include "state/memory_store.h"
#include "tests/sim/models.h"
#include "tests/support/fake_clock.h"

namespace kairo::sim {
class System;

struct Agent {  // one process; dies and comes back
  std::string name;
  state::MemoryStore disk;
  std::unique_ptr<FaultyStore> store;
  std::unique_ptr<bus::MemoryBus> raw_bus;
  std::unique_ptr<FaultyBus> bus;
  std::unique_ptr<FaultyCluster> cluster;
  std::unique_ptr<runtime::Effects> effects;
  std::unique_ptr<runtime::Relay> relay;
  std::unique_ptr<runtime::Loop> loop;
  std::vector<std::unique_ptr<watcher::Source>> sources;  // the watcher only
};

class System {
 public:
  explicit System(std::uint64_t seed);
  void act();             // one random thing happens
  void heal();            // no more faults; runs until nothing changes
  std::string verdict();  // "" when every invariant holds
  void apply(const std::string& name, int edition);
  void remove(const std::string& name);
  std::uint64_t crashes = 0, steps = 0;
  std::string trace();  // a digest of all that happened: equal seeds, equal traces

 private:
  void start(Agent& agent);
  bool step(Agent& agent, std::uint64_t what);
  void check_status();
  Dice dice_;
  test::FakeClock clock_;
  bus::MemoryBroker broker_;
  cluster::MemoryCluster cluster_;
  DiskModel disk_;
  RegistryModel registry_;
  KubeletModel kubelet_;
  std::vector<std::unique_ptr<Agent>> agents_;
  std::map<std::string, int> editions_;         // what the user last wanted; -1 = deleted
  std::map<std::string, std::uint64_t> shown_;  // Workspace -> versions seen in its status
  std::string wrong_;
};
}  // namespace kairo::sim
