// tests/bench/control_bench.cpp - what the loop costs where a cluster is large.
// usage: control_bench; a line for each figure. On memory: what is measured is the code, not a
// disk.
#include <chrono>
#include <cstdio>

#include "agents/bus/memory_bus.h"
#include "agents/role.h"
#include "agents/runtime/loop.h"
#include "schemas/base/codec.h"
#include "state/memory_store.h"
#include "tests/support/facts.h"
#include "tests/support/fake_clock.h"

using namespace kairo;
using namespace std::chrono_literals;
namespace {
struct NoEffects final : runtime::Effects {
  Status perform(const wire::CommandT&) override { return ok(); }
};
struct Provisioner {
  test::FakeClock clock;
  bus::MemoryBroker broker{clock};
  bus::MemoryBus bus{broker}, outside{broker};
  state::MemoryStore store;
  NoEffects effects;
  runtime::Relay relay{{bus, effects, clock, [](const wire::FactT&) {}}};
  runtime::Loop loop{{"provisioner", bus, store, relay, clock, role_of("provisioner")}};
  Provisioner() { (void)loop.start(); }
  void say(const wire::FactT& fact) {
    (void)outside.publish({runtime::subject_of(fact), runtime::message_id_of(fact),
                           encode(fact, wire::FactIdentifier())});
  }
  void say_node(int i, std::uint64_t version) {
    wire::NodeT node = test::node(version);
    node.local = false;
    node.models.clear();
    const std::string name = "node-" + std::to_string(i);
    say(test::fact(std::move(node), name, name));
  }
  void say_workspace(int i, bool picky) {
    wire::WorkspaceT w = test::tuning(1);
    if (picky) {
      w.match_labels.push_back(std::make_unique<wire::LabelT>());
      w.match_labels[0]->key = "kairo.dev/pool";
      w.match_labels[0]->value = "a";
    }
    const std::string name = "w" + std::to_string(i);
    say(test::fact(std::move(w), name, name));
  }
  void settle() {
    for (std::uint64_t before = ~0ULL; before != loop.facts();) {
      before = loop.facts();
      (void)loop.step(0ms);
      while (relay.step()) {
      }
    }
  }
};
template <class Work>
double seconds(Work work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void idle_rounds(int nodes) {
  constexpr int rounds = 200;
  Provisioner p;
  for (int i = 0; i < nodes; ++i) p.say_node(i, 1);
  p.settle();
  const double took = seconds([&] {
    for (int i = 0; i < rounds; ++i) (void)p.loop.step(0ms);
  });
  const double ms = took / rounds * 1e3;
  std::printf("  a round with %d nodes known and nothing new %21.4f ms\n", nodes, ms);
  std::printf("ROWS {\"round\": %.5f}\n", ms);
}
double waiting(int workspaces, int nodes, bool picky, bool one_by_one, const char* name) {
  Provisioner p;
  for (int i = 0; i < workspaces; ++i) p.say_workspace(i, picky);
  p.settle();
  const double took = seconds([&] {
    for (int i = 0; i < nodes; ++i) {
      p.say_node(i, 1);
      if (one_by_one) p.settle();
    }
    p.settle();
  });
  std::printf("  %d waiting Workspaces, %d new nodes, %-34s %8.2f s\n", workspaces, nodes, name,
              took);
  return took;
}
}  // namespace

int main() {
  idle_rounds(1000);
  const double took = waiting(10'000, 1000, true, true, "labels do not match, one by one");
  std::printf("ROWS {\"waiting\": %.3f}\n", took);
  std::fflush(stdout);
  waiting(10'000, 1000, true, false, "labels do not match, in a burst");
  waiting(10'000, 1000, false, false, "labels match, no weights, in a burst");
  waiting(10'000, 100, false, true, "the same, one by one");
  return 0;
}
