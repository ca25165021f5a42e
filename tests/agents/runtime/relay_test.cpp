// What this proves: of several words on one subject the relay says the last one last, also after
// agent and broker have both died: the broker then takes an older word that is said again for news
// (tests/contract/bus_test.cpp).
#include "agents/runtime/relay.h"

#include <doctest/doctest.h>

#include "agents/bus/memory_bus.h"
#include "agents/runtime/record.h"
#include "schemas/base/codec.h"
#include "state/memory_store.h"
#include "tests/support/facts.h"
#include "tests/support/fake_clock.h"

using namespace kairo;
using namespace kairo::test;
namespace {
struct NoEffects final : runtime::Effects {
  Status perform(const wire::CommandT&) override { return ok(); }
};
wire::CommandT publish(wire::FactT fact) {  // as the loop writes the row
  wire::CommandT row;
  row.uid = fact.uid;
  row.ns = fact.ns;
  row.name = fact.name;
  row.coalesce = runtime::kind_of(fact.body.type);
  wire::PublishT body;
  body.fact = std::make_unique<wire::FactT>(std::move(fact));
  row.body.Set(std::move(body));
  return row;
}
const auto older = [] { return fact(planned(1)); };
const auto newer = [] { return fact(planned(2)); };
struct Agent {
  FakeClock& clock;
  bus::MemoryBus bus;
  NoEffects effects;
  runtime::Relay relay{{bus, effects, clock, [](wire::FactT) {}}};
  Agent(FakeClock& c, bus::MemoryBroker& broker) : clock(c), bus(broker) { relay.open(); }
  int say_all() {
    int said = 0;
    while (relay.step()) ++said;
    return said;
  }
};
}  // namespace

TEST_CASE("relay: of what waits on one subject only the last is said") {
  FakeClock clock;
  bus::MemoryBroker broker(clock);
  Agent agent(clock, broker);
  agent.relay.add("outbox/1", publish(older()));
  agent.relay.add("outbox/2", publish(fact(ready(1))));  // another subject
  agent.relay.add("outbox/3", publish(newer()));
  CHECK(agent.say_all() == 2);
  const auto stored = broker.stored("kairo.facts.run.");
  REQUIRE(stored.size() == 1);
  CHECK(stored[0].id == runtime::message_id_of(newer()));
  CHECK(agent.relay.take_done() == std::vector<std::string>{"outbox/1", "outbox/2", "outbox/3"});
}

TEST_CASE("relay: the last word stays the last when agent and broker have died after it") {
  FakeClock clock;
  bus::MemoryBroker broker(clock);
  state::MemoryStore store;  // both rows are said, their erasure was not committed
  state::Batch rows;
  rows.put("outbox/1", encode(publish(older()), wire::CommandIdentifier()));
  rows.put("outbox/2", encode(publish(newer()), wire::CommandIdentifier()));
  REQUIRE(store.commit(rows).ok());
  {
    Agent agent(clock, broker);
    agent.relay.add("outbox/1", publish(older()));
    CHECK(agent.say_all() == 1);
    agent.relay.add("outbox/2", publish(newer()));
    CHECK(agent.say_all() == 1);
  }
  broker.lose_tail(0);
  Agent again(clock, broker);
  REQUIRE(again.relay.load(store).ok());
  CHECK(again.say_all() == 1);
  const auto stored = broker.stored("kairo.facts.run.");
  REQUIRE(stored.size() == 1);
  CHECK(stored[0].id == runtime::message_id_of(newer()));
}

TEST_CASE("relay: what is pending is no failure, holds no lane and can be cancelled") {
  struct Slow final : runtime::Effects {
    int asked = 0;
    bool is_there = false;
    Status perform(const wire::CommandT& command) override {
      if (command.body.type != wire::CommandBody::PrepareRun) return ok();
      ++asked;
      return is_there ? ok() : Status(Error{Code::pending, "on its way"});
    }
  };
  const auto row = [](auto body) {
    wire::CommandT out;
    out.uid = "u1";
    out.body.Set(std::move(body));
    return out;
  };
  FakeClock clock;
  bus::MemoryBroker broker(clock);
  bus::MemoryBus bus(broker);
  Slow effects;
  int troubles = 0;
  runtime::Relay relay({bus, effects, clock, [&](wire::FactT) { ++troubles; }});
  relay.open();
  relay.add("outbox/1", row(wire::PrepareRunT{}));
  for (int i = 0; i < 5; ++i) {
    CHECK(relay.step());
    CHECK_FALSE(relay.step());  // not before half a second has passed
    clock.advance(runtime::pending_ms);
  }
  CHECK(effects.asked == 5);
  CHECK(troubles == 0);
  relay.cancel_effects("u1");
  relay.add("outbox/2", row(wire::RemoveRunT{}));
  CHECK(relay.step());  // at once
  CHECK(effects.asked == 5);
  CHECK(relay.take_done() == std::vector<std::string>{"outbox/1", "outbox/2"});
  relay.add("outbox/3", row(wire::PrepareRunT{}));
  CHECK(relay.step());
  effects.is_there = true;
  clock.advance(runtime::pending_ms);
  CHECK(relay.step());
  CHECK(relay.take_done() == std::vector<std::string>{"outbox/3"});
  CHECK(troubles == 0);
}
