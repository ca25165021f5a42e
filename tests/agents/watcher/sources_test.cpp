// What this proves: what is gone is said until everybody has heard it: in its order, as it last
// was, over a bus that loses its store and a wall clock that is set.
#include "agents/watcher/sources.h"

#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "agents/bus/memory_bus.h"
#include "agents/cluster/kinds.h"
#include "agents/local/apiserver/memory_cluster.h"
#include "schemas/base/codec.h"
#include "schemas/fact_generated.h"
#include "tests/support/fake_clock.h"

using namespace kairo;
using Json = nlohmann::json;
namespace {
struct World {
  explicit World(const cluster::Kind& watched) : kind(watched) { restart(); }
  const cluster::Kind& kind;
  test::FakeClock clock;
  cluster::MemoryCluster cluster{clock, "seed"};
  bus::MemoryBroker broker{clock};
  bus::MemoryBus bus{broker};
  // What the watcher's own loop has read of the bus; it keeps what the bus loses.
  std::map<std::string, wire::FactT> records;
  bool is_read = true;
  std::optional<std::vector<wire::FactT>> read() {
    for (const auto& m : broker.stored("kairo.facts."))
      records[m.subject] = decode<wire::FactT>(m.bytes, wire::FactIdentifier()).value();
    if (!is_read) return std::nullopt;
    std::vector<wire::FactT> out;
    for (const auto& [subject, fact] : records) out.push_back(fact);
    return out;
  }
  std::unique_ptr<watcher::Source> source;
  void restart() {
    source = std::make_unique<watcher::Source>(cluster, bus, kind,
                                               [this](wire::FactBody) { return read(); });
  }
  void step() {
    for (int i = 0; i < 2; ++i) REQUIRE(source->step(0, clock.now_ms()).ok());
    (void)read();
  }
  void apply(const std::string& revision) {
    const Json object = {
        {"apiVersion", kind.group + "/" + kind.version},
        {"kind", kind.kind},
        {"metadata",
         {{"name", "w"},
          {"namespace", "d"},
          {"labels", {{"kaito.sh/workspace", "w"}}},
          {"annotations", {{"kairo.dev/workspace-uid", "u1"}, {"kairo.dev/revision", revision}}}}}};
    REQUIRE(cluster.apply({{kind, "d", "w"}, object.dump(), "launcher", ""}).ok());
    step();
  }
  void remove() {
    REQUIRE(cluster.remove({kind, "d", "w"}, "").ok());
    step();
  }
  wire::FactT last() const {  // what stands on the bus
    const auto stored = broker.stored("kairo.facts.");
    REQUIRE(stored.size() == 1);
    return decode<wire::FactT>(stored[0].bytes, wire::FactIdentifier()).value();
  }
};
}  // namespace

TEST_CASE("sources: the end of the newest Job stands last, whatever the uids") {
  World w(cluster::jobs);
  for (int i = 0; i < 6; ++i) {
    w.apply("r" + std::to_string(i));
    w.remove();
  }
  const std::uint64_t newest = w.last().body.AsJob()->version;
  w.broker.wipe();
  w.step();
  CHECK_FALSE(w.last().body.AsJob()->exists);
  CHECK(w.last().body.AsJob()->version == newest);
}
TEST_CASE("sources: the bus drops a repeated message; no older one takes its place") {
  World w(cluster::jobs);
  w.apply("r1");
  w.remove();
  w.clock.advance(130'000);  // the bus has forgotten the first Job's messages, not the second's
  w.apply("r2");
  w.remove();
  const std::uint64_t newest = w.last().body.AsJob()->version;
  w.broker.lose_tail(0);  // nothing was lost, but who knows
  w.step();
  CHECK(w.last().body.AsJob()->version == newest);
  w.apply("r3");
  w.broker.lose_tail(0);
  w.step();
  CHECK(w.last().body.AsJob()->exists);
}
TEST_CASE("sources: an object that was edited in place is gone as it last was") {
  World w(cluster::stateful_sets);
  w.apply("old");
  w.apply("new");
  w.remove();
  CHECK_FALSE(w.last().body.AsServer()->exists);
  CHECK(w.last().body.AsServer()->revision == "new");
}
TEST_CASE("sources: what is gone is said again whenever the bus has lost it, whatever the clock") {
  World w(cluster::jobs);
  w.apply("r");
  w.remove();
  for (int i = 0; i < 3; ++i) {
    w.clock.jump((i - 1) * 50LL * 3600 * 1000);
    w.broker.wipe();
    w.step();
    CHECK_FALSE(w.last().body.AsJob()->exists);
  }
}
TEST_CASE("sources: what vanished while no watcher ran is gone when one has read the bus") {
  World w(cluster::jobs);
  w.apply("r");
  const std::uint64_t version = w.last().body.AsJob()->version;
  w.restart();  // with no store at all
  w.is_read = false;
  REQUIRE(w.cluster.remove({w.kind, "d", "w"}, "").ok());
  w.step();
  CHECK(w.source->has_listed());
  CHECK(w.last().body.AsJob()->exists);  // not yet known here that anybody thinks so
  w.is_read = true;
  w.step();
  CHECK_FALSE(w.last().body.AsJob()->exists);
  CHECK(w.last().body.AsJob()->version > version);
}
