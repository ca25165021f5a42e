// What this proves: what is asked of a node provisioner; no claim is made where enough of the
// Workspace's are there; a pool has as many replicas as are needed, and is changed in nothing else.
#include "agents/provisioner/effects.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "agents/cluster/kinds.h"
#include "agents/local/apiserver/memory_cluster.h"
#include "tests/support/counted_cluster.h"
#include "tests/support/facts.h"
#include "tests/support/fake_clock.h"

using namespace kairo;
using namespace kairo::test;
using Json = nlohmann::json;
namespace {
std::string nothing_wrong(const std::string&, const std::string&, const std::string&) {
  return {};
}
provisioner::Terms terms_of(provisioner::Mode mode) {
  provisioner::Terms out;
  out.mode = mode;
  out.node_class = {"kaito.sh", "KaitoNodeClass", "default"};
  return out;
}
struct Bench {
  explicit Bench(provisioner::Mode mode) : terms(terms_of(mode)) {}
  const provisioner::Terms terms;
  FakeClock clock;
  cluster::MemoryCluster real{clock, "seed"};
  CountedCluster cluster{real};
  provisioner::ProvisionerEffects effects{cluster, terms, nothing_wrong, [](wire::FactT) {}};

  Status buy(const std::string& claim, std::uint32_t nodes, bool look = false) {
    wire::CommandT command;
    command.uid = "u1";
    command.ns = "default";
    command.name = "w";
    wire::BuyNodeT body;
    body.workspace = std::make_unique<wire::WorkspaceT>(serving(1));
    body.workspace->instance_type = "Standard_NC48ads_A100_v4";
    body.claim = claim;
    body.look = look;
    body.nodes = nodes;
    command.body.Set(std::move(body));
    cluster.calls.clear();
    return effects.perform(command);
  }
  // Of another controller; its labels begin with `prefix`.
  void make(const cluster::Kind& kind, const std::string& name, const std::string& prefix,
            const std::string& ns_key, const std::string& of = "w") {
    Json object = {{"apiVersion", "karpenter.sh/v1"},
                   {"kind", kind.kind},
                   {"metadata", {{"name", name}, {"labels", {{prefix, of}, {ns_key, "default"}}}}},
                   {"spec", {{"replicas", 1}}}};
    REQUIRE(real.apply({{kind, "", name}, object.dump(), "kaito", ""}).ok());
  }
  Json pool(const std::string& name) {
    return Json::parse(real.get({cluster::node_pools, "", name}).value());
  }
  std::size_t claims() { return real.list({cluster::node_claims, "", ""}).value().items.size(); }
};
const std::string pool_label = "karpenter.kaito.sh/workspace-name",
                  pool_ns = "karpenter.kaito.sh/workspace-namespace";
}  // namespace

TEST_CASE("provisioner: claims are made until as many as are needed are there") {
  Bench b(provisioner::Mode::node_claims);
  b.make(cluster::node_claims, "ws0123456ab", "kaito.sh/workspace", "kaito.sh/workspacenamespace");
  b.make(cluster::node_claims, "ws0000000ff", "kaito.sh/workspace", "kaito.sh/workspacenamespace",
         "other");
  REQUIRE(b.buy("ws1", 2, true).ok());
  CHECK(b.claims() == 3);
  REQUIRE(b.buy("ws2", 2, true).ok());  // with KAITO's there are two
  CHECK(b.claims() == 3);
  REQUIRE(b.buy("ws1", 2).ok());  // repeated
  CHECK(b.claims() == 3);
  REQUIRE(b.buy("ws2", 2).ok());  // nobody else can have asked for any
  CHECK(b.claims() == 4);
  const Status others = b.buy("ws0000000ff", 2);
  REQUIRE_FALSE(others.ok());
  CHECK(others.error().what == "NodeClaim ws0000000ff is there, and is somebody else's");
}

TEST_CASE("provisioner: a pool of as many replicas as nodes are needed") {
  Bench b(provisioner::Mode::karpenter);
  REQUIRE(b.buy("p", 2).ok());
  CHECK(b.pool("p")["spec"]["replicas"] == 2);
  const Json before = b.pool("p");
  REQUIRE(b.buy("p", 2).ok());
  CHECK(b.pool("p") == before);
  REQUIRE(b.buy("p", 3).ok());
  Json after = b.pool("p");
  CHECK(after["spec"]["replicas"] == 3);
  after["spec"]["replicas"] = 2;
  CHECK(after["spec"] == before["spec"]);
  REQUIRE(b.buy("q", 0).ok());  // of an earlier kairo's outbox
  CHECK(b.pool("q")["spec"]["replicas"] == 1);
  b.make(cluster::node_pools, "kaitos", pool_label, pool_ns);
  b.make(cluster::node_pools, "others", pool_label, pool_ns, "other");
  REQUIRE(b.buy("kaitos", 2).ok());
  CHECK(b.pool("kaitos")["spec"]["replicas"] == 2);
  CHECK_FALSE(b.buy("others", 2).ok());
  CHECK(b.pool("others")["spec"]["replicas"] == 1);
}

TEST_CASE("provisioner: a claim that is given up is asked to go, and not waited for") {
  Bench b(provisioner::Mode::node_claims);
  REQUIRE(b.buy("ws1", 2).ok());
  const cluster::Ref ref{cluster::node_claims, "", "ws1"};
  REQUIRE(
      b.real.patch({ref, R"({"metadata":{"finalizers":["karpenter.sh/termination"]}})", ""}).ok());
  const Json claim = Json::parse(b.real.get(ref).value());
  const auto give_up = [&](const std::string& uid) {
    wire::CommandT command;
    command.uid = "u1";
    command.ns = "default";
    command.name = "w";
    wire::GiveUpNodesT body;
    body.wish = "lost/" + uid;
    body.claim = "ws1";
    body.uid = uid;
    command.body.Set(std::move(body));
    return b.effects.perform(command).ok();
  };
  b.cluster.calls.clear();
  CHECK(give_up("of another one"));
  CHECK_FALSE(Json::parse(b.real.get(ref).value())["metadata"].contains("deletionTimestamp"));
  CHECK(give_up(claim["metadata"]["uid"]));
  CHECK(Json::parse(b.real.get(ref).value())["metadata"].contains("deletionTimestamp"));
  CHECK(give_up(claim["metadata"]["uid"]));  // repeated, while the machine takes its time
  CHECK(b.cluster.calls == "remove remove remove");
}
