// What this proves: what is gone is said until everybody has heard it: in its order, as it last
// was, over a bus that loses its store and a wall clock that is set.
#include "agents/watcher/sources.h"

#include <doctest/doctest.h>

#include <chrono>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "agents/bus/memory_bus.h"
#include "agents/cluster/kinds.h"
#include "agents/local/apiserver/memory_cluster.h"
#include "schemas/base/codec.h"
#include "schemas/fact_generated.h"
#include "tests/support/fake_clock.h"

using namespace kairo;
using Json = nlohmann::json;
namespace {
// A server whose store can be put back from a backup while its clients run.
class Restorable final : public cluster::Cluster {
 public:
  explicit Restorable(const Clock& clock) : clock_(clock) { restore(); }
  void restore() { now_ = std::make_unique<cluster::MemoryCluster>(clock_, "seed"); }
  Result<std::string> apply(const cluster::Apply& a) override { return now_->apply(a); }
  Result<std::string> create(const cluster::Apply& a) override { return now_->create(a); }
  Result<std::string> patch(const cluster::Patch& p) override { return now_->patch(p); }
  Result<std::string> get(const cluster::Ref& r) override { return now_->get(r); }
  Result<cluster::Listing> list(const cluster::Selection& s) override {
    ++lists;
    return now_->list(s);
  }
  Result<std::vector<cluster::Event>> watch(const cluster::Selection& s, const std::string& version,
                                            std::int64_t wait_ms) override {
    auto events = TRY(now_->watch(s, version, wait_ms));
    if (events.size() > events_at_once) events.resize(events_at_once);
    return events;
  }
  std::size_t events_at_once = 1'000;
  int lists = 0;
  Status remove(const cluster::Ref& r, const std::string& uid) override {
    return now_->remove(r, uid);
  }
  Result<std::string> log(const cluster::Ref& p, const std::string& c, std::uint64_t o) override {
    return now_->log(p, c, o);
  }

 private:
  const Clock& clock_;
  std::unique_ptr<cluster::MemoryCluster> now_;
};

// The connection breaks when all is stored, before the word of it comes back.
class Breaking final : public bus::Bus {
 public:
  explicit Breaking(bus::MemoryBroker& broker) : real_(broker) {}
  bool breaks = false;
  Status publish(const bus::Message& message) override { return real_.publish(message); }
  Status publish(const std::vector<bus::Message>& messages) override {
    TRY(real_.publish(messages));
    if (std::exchange(breaks, false)) return Error{Code::unavailable, "no answer"};
    return ok();
  }
  void read_from(bus::Cursor cursor) override { real_.read_from(std::move(cursor)); }
  Result<bus::Batch> next(std::size_t limit, std::chrono::milliseconds wait) override {
    return real_.next(limit, wait);
  }
  void wake() override { real_.wake(); }
  Result<std::string> incarnation() override { return real_.incarnation(); }

 private:
  bus::MemoryBus real_;
};

struct OneLease final : runtime::Lease {
  bool is_ours = false;
  Result<runtime::Claim> claim() override { return runtime::Claim{is_ours, 1}; }
  Status release() override { return ok(); }
  std::int64_t trusted_ms() const override { return 0; }
};

struct World {
  explicit World(const cluster::Kind& watched) : kind(watched) {
    workspaces.add({"u1", "d", "w"});
    workspaces.complete({"u1"});
    restart();
  }
  const cluster::Kind& kind;
  test::FakeClock clock;
  Restorable cluster{clock};
  std::string ns = "d", owner = "u1";  // of what is applied
  bus::MemoryBroker broker{clock};
  Breaking bus{broker};
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
  watcher::Workspaces workspaces;
  std::vector<wire::FactT> observed;  // inside the watcher only
  std::unique_ptr<watcher::Source> source;
  OneLease lease;
  runtime::Tenure tenure{lease, clock};
  bool acts = true;
  void restart(bool stands_by = false) {
    source = std::make_unique<watcher::Source>(
        watcher::Source::Deps{cluster, bus, workspaces, [this](wire::FactBody) { return read(); },
                              [this](wire::FactT fact) { observed.push_back(std::move(fact)); },
                              stands_by ? &tenure : nullptr, [this] { return acts; }},
        cluster::Selection{kind, "", ""});
  }
  void step() {
    for (int i = 0; i < 2; ++i) REQUIRE(source->step(0, clock.now_ms()).ok());
    (void)read();
  }
  void apply(const std::string& revision, bool is_heard = true) {
    const Json object = {{"apiVersion", kind.group + "/" + kind.version},
                         {"kind", kind.kind},
                         {"metadata",
                          {{"name", "w"},
                           {"namespace", ns},
                           {"labels", {{"kaito.sh/workspace", "w"}}},
                           {"annotations", {{"kairo.dev/revision", revision}}},
                           {"ownerReferences",
                            {{{"apiVersion", "kaito.sh/v1beta1"},
                              {"kind", "Workspace"},
                              {"name", "w"},
                              {"uid", owner},
                              {"controller", true}}}}}}};
    REQUIRE(cluster.apply({{kind, ns, "w"}, object.dump(), "launcher", ""}).ok());
    if (is_heard) step();
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
TEST_CASE("sources: what is gone and still to be said again outlasts the next list") {
  World w(cluster::jobs);
  w.apply("r");
  w.remove();
  w.broker.wipe();
  w.restart();
  w.acts = false;  // nothing is repeated yet
  w.step();
  CHECK(w.broker.stored("kairo.facts.").empty());
  w.clock.jump(-50LL * 3600 * 1000);  // it lists again
  w.step();
  w.acts = true;
  w.step();
  CHECK_FALSE(w.last().body.AsJob()->exists);
}
TEST_CASE("sources: what vanished while no watcher ran is gone when one has read the bus") {
  World w(cluster::jobs);
  w.apply("r");
  const std::uint64_t version = w.last().body.AsJob()->version;
  w.restart();  // with no store at all
  w.is_read = false;
  REQUIRE(w.cluster.remove({w.kind, "d", "w"}, "").ok());
  w.step();
  CHECK_FALSE(w.source->has_listed());   // not yet known here what the others think
  CHECK(w.last().body.AsJob()->exists);  // so nothing is said
  w.is_read = true;
  w.step();
  CHECK(w.source->has_listed());
  CHECK_FALSE(w.last().body.AsJob()->exists);
  CHECK(w.last().body.AsJob()->version > version);
}
TEST_CASE("sources: versions that go back (a store put back from a backup) hide nothing") {
  for (const bool is_new_process : {true, false}) {
    CAPTURE(is_new_process);
    World w(cluster::jobs);
    for (int i = 0; i < 20; ++i) w.apply("r" + std::to_string(i));
    const std::uint64_t before = w.last().body.AsJob()->version;
    w.cluster.restore();
    if (is_new_process) w.restart();
    for (const char* revision : {"r0", "after"}) {
      w.apply(revision);
      CHECK(w.last().body.AsJob()->exists);
      CHECK(w.last().body.AsJob()->revision == revision);
    }
    CHECK(w.last().body.AsJob()->version > before);
    w.restart();  // the bus remembers the epoch
    w.apply("later");
    CHECK(w.last().body.AsJob()->revision == "later");
  }
}
TEST_CASE("sources: what was gone and is there again shows that the versions have gone back") {
  World w(cluster::jobs);
  for (int i = 0; i < 20; ++i) w.apply("r" + std::to_string(i));
  REQUIRE(w.cluster.remove({w.kind, "d", "w"}, "").ok());
  w.step();
  const std::uint64_t gone = w.last().body.AsJob()->version;
  REQUIRE_FALSE(w.last().body.AsJob()->exists);
  w.cluster.restore();
  w.restart();
  w.apply("r1");
  CHECK(w.last().body.AsJob()->exists);
  CHECK(w.last().body.AsJob()->version > gone);
}
TEST_CASE("sources: what vanished with a store that was put back is gone for a new process too") {
  World w(cluster::jobs);
  for (int i = 0; i < 20; ++i) w.apply("r" + std::to_string(i));
  const std::uint64_t before = w.last().body.AsJob()->version;
  w.cluster.restore();  // to nothing
  w.restart();
  w.step();
  CHECK_FALSE(w.last().body.AsJob()->exists);
  CHECK(w.last().body.AsJob()->version > before);  // else nobody would take it
}
TEST_CASE("sources: a list that is older than what was read raises the epoch of all sources") {
  World w(cluster::jobs);
  for (int i = 0; i < 20; ++i) w.apply("r" + std::to_string(i));
  const std::uint64_t before = w.workspaces.epoch();
  w.cluster.restore();  // to nothing: no object is older than it was
  w.step();
  CHECK(w.workspaces.epoch() > before);
  w.apply("r1");
  const std::uint64_t said = w.last().body.AsJob()->version;
  w.workspaces.raise_epoch(2 * w.workspaces.epoch());  // another source found it out
  w.step();
  CHECK(w.last().body.AsJob()->version > said);
}
TEST_CASE("sources: a list that is older than the answer to a write raises the epoch") {
  World w(cluster::workspaces);
  const std::string object =
      R"({"apiVersion":"kaito.sh/v1beta1","kind":"Workspace","metadata":{"name":"w"}})";
  const auto made = w.cluster.apply({{w.kind, "d", "w"}, object, "user", ""});
  REQUIRE(made.ok());
  const auto uid = Json::parse(made.value())["metadata"]["uid"].get<std::string>();
  w.step();
  const std::uint64_t epoch = w.workspaces.epoch();
  w.restart();
  w.step();
  CHECK(w.workspaces.epoch() == epoch);
  const std::uint64_t newest = w.workspaces.newest(uid).version;
  w.workspaces.saw(uid, newest + 1, nullptr);  // and then a backup from before it was put back
  w.restart();
  w.step();
  CHECK(w.workspaces.epoch() > epoch);
  CHECK(w.workspaces.newest(uid).version == newest);
}
TEST_CASE("sources: an object counts when its controller is a Workspace of its namespace") {
  World w(cluster::jobs);
  w.ns = "evil";
  w.apply("forged");
  CHECK(w.broker.stored("kairo.facts.").empty());
  w.ns = "d";
  w.owner = "u2";  // of nobody
  w.apply("orphan");
  CHECK(w.broker.stored("kairo.facts.").empty());
}
TEST_CASE("sources: the status that a Workspace shows is told inside, when somebody changed it") {
  World w(cluster::workspaces);
  w.apply("r");
  const auto write = [&](const char* state) {
    const Json patch = {{"status", {{"state", state}}}};
    REQUIRE(w.cluster.patch({{w.kind, "d", "w"}, patch.dump(), "status"}).ok());
    w.step();
  };
  w.observed.clear();
  const std::uint64_t told = w.last().body.AsWorkspace()->version;
  write("Foreign");
  REQUIRE(w.observed.size() == 1);
  CHECK(w.observed[0].body.AsStatusSeen()->state == "Foreign");
  CHECK(w.last().body.AsWorkspace()->version == told);  // no news for five agents
  w.apply("r");                                         // changes nothing
  CHECK(w.observed.size() == 1);
  write("Again");
  CHECK(w.observed.size() == 2);
}

TEST_CASE("sources: a word without an answer is said again as it was, not as it had been before") {
  World w(cluster::jobs);
  w.apply("r");
  w.apply("r2", false);
  REQUIRE(w.cluster.remove({w.kind, "d", "w"}, "").ok());
  w.bus.breaks = true;
  CHECK_FALSE(w.source->step(0, w.clock.now_ms()).ok());
  CHECK_FALSE(w.last().body.AsJob()->exists);
  w.cluster.events_at_once = 1;
  for (int i = 0; i < 3; ++i) w.step();
  CHECK_FALSE(w.last().body.AsJob()->exists);
}

TEST_CASE("sources: who stands by follows the cluster, and takes over without a list") {
  World w(cluster::jobs);
  w.apply("r");
  w.restart(true);
  CHECK_FALSE(w.source->is_warm());
  w.apply("r2");  // nobody acts
  CHECK(w.source->is_warm());
  CHECK(w.last().body.AsJob()->revision == "r");
  CHECK(w.source->has_listed() == false);
  const int lists = w.cluster.lists;
  w.lease.is_ours = true;
  REQUIRE(w.tenure.tend().ok());
  w.step();
  CHECK(w.source->has_listed());
  CHECK(w.cluster.lists == lists);
  CHECK(w.last().body.AsJob()->revision == "r2");
  w.apply("r3");
  CHECK(w.last().body.AsJob()->revision == "r3");
}
TEST_CASE("sources: what went while one stood by is gone when it takes over") {
  World w(cluster::jobs);
  w.apply("r");
  w.restart(true);
  w.step();
  w.remove();
  CHECK(w.last().body.AsJob()->exists);
  w.lease.is_ours = true;
  REQUIRE(w.tenure.tend().ok());
  w.step();
  CHECK_FALSE(w.last().body.AsJob()->exists);
  CHECK(w.last().body.AsJob()->revision == "r");
}
TEST_CASE(
    "sources: who had read on further, as the bus shows, is not taken over from but by a list") {
  World w(cluster::jobs);
  w.apply("r");
  const auto other = std::move(w.source);  // it acts
  w.restart(true);
  w.step();
  const auto standby = std::exchange(w.source, nullptr);
  w.apply("r2", false);
  for (int i = 0; i < 2; ++i) REQUIRE(other->step(0, w.clock.now_ms()).ok());  // heard by it alone
  const int lists = w.cluster.lists;
  w.lease.is_ours = true;
  REQUIRE(w.tenure.tend().ok());
  REQUIRE(standby->step(0, w.clock.now_ms()).ok());
  CHECK(w.cluster.lists == lists + 1);
  CHECK(w.last().body.AsJob()->revision == "r2");
}
