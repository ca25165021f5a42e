// tests/support/loop_world.h - one agent's loop and relay on memory, and somebody outside who
// speaks.
#pragma once
#include <doctest/doctest.h>

#include "agents/bus/memory_bus.h"
#include "agents/runtime/decision.h"
#include "agents/runtime/loop.h"
#include "schemas/base/codec.h"
#include "state/memory_store.h"
#include "tests/support/facts.h"
#include "tests/support/fake_clock.h"

namespace kairo::test {
struct CountedEffects final : runtime::Effects {
  std::vector<std::string> done;
  Status answer = ok();
  bool throws = false;
  Status perform(const wire::CommandT& c) override {
    done.push_back(c.name + " " + runtime::kind_of(c.body.type));
    if (throws) throw std::out_of_range("basic_string::substr");
    return answer;
  }
};
class FailingStore final : public state::Store {
 public:
  state::MemoryStore inner;
  bool full = false;
  Result<std::optional<std::string>> get(const std::string& k) const override {
    return inner.get(k);
  }
  Result<state::Rows> scan(const std::string& p, const std::string& a,
                           std::size_t n) const override {
    return inner.scan(p, a, n);
  }
  Status commit(const state::Batch& b) override {
    if (full) return Error{Code::unavailable, "no space left on device"};
    return inner.commit(b);
  }
};
struct LoopWorld {  // one agent on memory
  FakeClock clock;
  bus::MemoryBroker broker{clock};
  bus::MemoryBus outside{broker};
  FailingStore store;
  CountedEffects effects;
  runtime::Vitals vitals{clock};
  const runtime::Role role;
  runtime::Lease* const lease;  // null: it is alone
  std::unique_ptr<runtime::Tenure> tenure;
  std::unique_ptr<bus::MemoryBus> bus;
  std::unique_ptr<runtime::Relay> relay;
  std::unique_ptr<runtime::Loop> loop;
  explicit LoopWorld(runtime::Role r, runtime::Lease* l = nullptr) : role(std::move(r)), lease(l) {
    restart();
  }
  void restart() {  // the process died and came back
    loop.reset();
    relay.reset();
    if (lease != nullptr) {
      tenure = std::make_unique<runtime::Tenure>(*lease, clock);
      (void)tenure->tend();
    }
    bus = std::make_unique<bus::MemoryBus>(broker);
    relay = std::make_unique<runtime::Relay>(runtime::Relay::Deps{
        *bus, effects, clock, [this](wire::FactT f) { loop->observe(std::move(f), false); },
        tenure.get()});
    loop = std::make_unique<runtime::Loop>(runtime::Loop::Deps{
        "launcher", *bus, store, *relay, clock, role, "", {}, &vitals, tenure.get()});
    REQUIRE(loop->start().ok());
  }
  template <class Body>
  void say(Body body, const std::string& uid = "u1") {
    say_fact(fact(std::move(body), uid, "w-" + uid));
  }
  void say_node(const std::string& name, wire::NodeT node) {
    say_fact(fact(std::move(node), name, name));
  }
  void say_fact(const wire::FactT& f) {
    REQUIRE(outside
                .publish({runtime::subject_of(f), runtime::message_id_of(f),
                          encode(f, wire::FactIdentifier())})
                .ok());
  }
  void settle() {
    using namespace std::chrono_literals;
    for (int i = 0; i < 20; ++i) {
      (void)loop->step(0ms);
      while (relay->step()) {
      }
    }
  }
  std::vector<std::string> facts(const std::string& kind) const {
    std::vector<std::string> out;
    for (const auto& m : broker.stored("kairo.facts." + kind + ".")) out.push_back(m.id);
    return out;
  }
};
}  // namespace kairo::test
