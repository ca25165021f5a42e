// What this proves: a server on several nodes is made when nothing of an earlier one is left; it is
// replaced, never changed in place; its volumes go with it.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "agents/cluster/kinds.h"
#include "agents/launcher/effects.h"
#include "agents/local/apiserver/memory_cluster.h"
#include "tests/support/facts.h"
#include "tests/support/fake_clock.h"

using namespace kairo;
using namespace kairo::test;
using Json = nlohmann::json;
namespace {
std::string all_well(const std::string&, const std::string&, const std::string&) {
  return {};
}
struct Stand {
  FakeClock clock;
  cluster::MemoryCluster cluster{clock, "seed"};
  launcher::LauncherEffects effects{cluster, clock, {}, all_well, [](const wire::FactT&) {}};
  const cluster::Ref set{cluster::stateful_sets, "d", "w"},
      claim{cluster::claims, "d", "run-volume-w-1"};

  wire::CommandT command() {
    wire::CommandT out;
    out.uid = "u1";
    out.ns = "d";
    out.name = "w";
    return out;
  }
  // On these nodes; "" when it is made, else what it waits for.
  std::string apply(const std::vector<std::string>& nodes, const std::string& revision = "rev1") {
    wire::ApplyInferenceT body;
    body.workspace = std::make_unique<wire::WorkspaceT>(serving(1, revision));
    body.workspace->count = 2;
    body.resources = std::make_unique<wire::ResourcesT>(ready(1, revision));
    body.resources->runtime = "vllm";
    body.resources->nodes = body.resources->hostnames = nodes;
    body.resources->places.clear();
    for (const std::string& node : nodes) {
      body.resources->places.push_back(node + "/uid-" + node);
      auto dir = std::make_unique<wire::RunDirT>(run_dir(1, revision));
      dir->node = node;
      if (body.run_dir == nullptr)
        body.run_dir = std::move(dir);
      else
        body.peers.push_back(std::move(dir));
    }
    wire::CommandT out = command();
    out.revision = revision;
    out.body.Set(std::move(body));
    const Status done = effects.perform(out);
    if (!done.ok()) CHECK(done.error().code == Code::pending);
    return done.ok() ? "" : done.error().what;
  }
  std::string volumes() {
    std::string out;
    for (const std::string& text : cluster.list({cluster::volumes, "", ""}).value().items)
      out += Json::parse(text)["metadata"]["name"].get<std::string>() + " ";
    return out;
  }
  void bind() {  // as the server's controllers do
    for (const std::string& text : cluster.list({cluster::volumes, "", ""}).value().items)
      REQUIRE(cluster
                  .patch({{cluster::volumes, "", Json::parse(text)["metadata"]["name"]},
                          R"({"spec":{"claimRef":{"uid":"c"}}})",
                          ""})
                  .ok());
    REQUIRE(cluster
                .create({claim,
                         R"({"apiVersion":"v1","kind":"PersistentVolumeClaim",)"
                         R"("metadata":{"name":"run-volume-w-1","namespace":"d"}})",
                         "test", ""})
                .ok());
  }
};
}  // namespace

TEST_CASE("launcher: a server on two nodes has a volume on each, reserved for its claim") {
  Stand s;
  CHECK(s.apply({"a", "b"}).empty());
  CHECK(s.volumes() == "kairo-run.u1.0.a kairo-run.u1.1.b ");
  const Json volume =
      Json::parse(s.cluster.get({cluster::volumes, "", "kairo-run.u1.1.b"}).value());
  CHECK(volume["spec"]["claimRef"]["name"] == "run-volume-w-1");
  CHECK(volume["metadata"]["ownerReferences"][0]["uid"] == "uid-b");
  const auto made = s.cluster.get(s.set).value();
  CHECK(s.apply({"a", "b"}).empty());  // a crash repeats it
  CHECK(s.cluster.get(s.set).value() == made);
}

TEST_CASE("launcher: another wish waits until the server, its claims and its volumes have gone") {
  for (const bool is_edit : {false, true}) {
    Stand s;
    const std::vector<std::string> nodes =
        is_edit ? std::vector<std::string>{"a", "b"} : std::vector<std::string>{"a", "c"};
    REQUIRE(s.apply({"a", "b"}).empty());
    s.bind();
    CHECK(s.apply(nodes, is_edit ? "rev2" : "rev1") == "StatefulSet w is still ending");
    CHECK_FALSE(s.cluster.get(s.set).ok());
    CHECK(s.apply(nodes, is_edit ? "rev2" : "rev1") ==
          "PersistentVolumeClaim run-volume-w-1 is still ending");
    REQUIRE(s.cluster.remove(s.claim, "").ok());
    CHECK(s.apply(nodes, is_edit ? "rev2" : "rev1") ==
          "volumes of an earlier server are still ending");
    CHECK(s.apply(nodes, is_edit ? "rev2" : "rev1").empty());
    CHECK(s.volumes() ==
          (is_edit ? "kairo-run.u1.0.a kairo-run.u1.1.b " : "kairo-run.u1.0.a kairo-run.u1.1.c "));
  }
}

TEST_CASE("launcher: from two nodes to one and back, the server is made anew") {
  Stand s;
  REQUIRE(s.apply({"a", "b"}).empty());
  CHECK(s.apply({"a"}) == "StatefulSet w is still ending");
  CHECK(s.apply({"a"}) == "volumes of an earlier server are still ending");  // b's is for no place
  CHECK(s.apply({"a"}).empty());
  CHECK(s.apply({"c"}).empty());  // one to one: in place
  CHECK(s.apply({"a", "b"}) == "StatefulSet w is still ending");
  CHECK(s.apply({"a", "b"}).empty());
}

TEST_CASE("launcher: a removal takes the volumes, though the server has gone before") {
  Stand s;
  REQUIRE(s.apply({"a", "b"}).empty());
  REQUIRE(s.cluster.remove(s.set, "").ok());
  wire::RemoveWorkloadT body;
  body.kind = "StatefulSet";
  body.volumes = true;
  wire::CommandT remove = s.command();
  remove.body.Set(std::move(body));
  CHECK(s.effects.perform(remove).ok());
  CHECK(s.volumes().empty());
}
