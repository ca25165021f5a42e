// What this proves: a model on several nodes waits for the run directory of each; each node's agent
// makes and removes its own; a deletion waits for all of them.
#include <doctest/doctest.h>

#include "agents/launcher/decide.h"
#include "agents/node/decide.h"
#include "agents/runtime/decision.h"
#include "agents/watcher/decide.h"
#include "tests/support/facts.h"

using namespace kairo;
using namespace kairo::test;
namespace {
wire::WorkspaceT wide(std::uint64_t version = 1) {
  wire::WorkspaceT w = serving(version);
  w.count = 2;
  return w;
}
wire::ResourcesT on_two(std::uint64_t version = 1) {
  wire::ResourcesT x = ready(version);
  x.nodes = {"n1", "n2"};
  x.places = {"n1/uid-n1", "n2/uid-n2"};
  x.gpus = x.target = 2;
  x.runtime = "vllm";
  return x;
}
wire::RunT run_on_two(std::uint64_t version = 1, bool wanted = true) {
  wire::RunT run = planned(version, "rev1", wanted);
  run.peers = {"n2/uid-n2"};
  return run;
}
wire::RunDirT dir_on_n2(std::uint64_t version, wire::RunDirState state = wire::RunDirState::Ready) {
  wire::RunDirT dir = run_dir(version, "rev1", state);
  dir.node = "n2";
  dir.place = "n2/uid-n2";
  return dir;
}
wire::ServerT server_on(const std::string& place) {
  wire::ServerT out = server(1);
  out.uid = "s1";
  out.place = place;
  return out;
}
const runtime::Nodes nowhere;
}  // namespace

TEST_CASE("spread: the launcher plans all places, and waits for each directory") {
  const auto first = launcher::decide(record(wide(), on_two()), {nowhere, 1000});
  REQUIRE(kinds(first) == "Publish:run");
  CHECK(*first.commands[0].body.AsPublish()->fact->body.AsRun() == [] {
    wire::RunT run = run_on_two();
    run.version = 0;
    return run;
  }());
  CHECK(kinds(launcher::decide(record(wide(), on_two(), run_on_two(), run_dir(1)),
                               {nowhere, 1000})) == "Publish:run");
  wire::RunDirT elsewhere = dir_on_n2(1);
  elsewhere.place = "n2/before";
  CHECK(kinds(launcher::decide(
            record(wide(), on_two(), run_on_two(), run_dir(1), std::move(elsewhere)),
            {nowhere, 1000})) == "Publish:run");
  const auto d = launcher::decide(record(wide(), on_two(), run_on_two(), run_dir(1), dir_on_n2(1)),
                                  {nowhere, 1000});
  REQUIRE(kinds(d) == "Publish:run ApplyInference");
  const auto& apply = *d.commands[1].body.AsApplyInference();
  REQUIRE(apply.peers.size() == 1);
  CHECK(apply.peers[0]->node == "n2");
}

TEST_CASE("spread: a server for other nodes is asked for anew; its removal takes its volumes") {
  const auto r = record(wide(), on_two(), run_on_two(), run_dir(1), dir_on_n2(1),
                        server_on("n1/uid-n1,n3/uid-n3"));
  CHECK(kinds(launcher::decide(r, {nowhere, 1000})) == "Publish:run ApplyInference");
  const auto same = marked(record(wide(), on_two(), run_on_two(), run_dir(1), dir_on_n2(1),
                                  server_on("n1/uid-n1,n2/uid-n2")),
                           "server", "rev1/n1/uid-n1,n2/uid-n2");
  CHECK(kinds(launcher::decide(same, {nowhere, 1000})) == "Publish:run");
  const auto left = launcher::decide(
      record(leaving(wide(2)), on_two(), run_on_two(), server_on("n1/uid-n1,n2/uid-n2")),
      {nowhere, 1000});
  REQUIRE(kinds(left) == "RemoveWorkload ReleaseRun");
  CHECK(left.commands[0].body.AsRemoveWorkload()->volumes);
}

TEST_CASE("spread: each node prepares its own place, and removes it when nothing runs there") {
  const auto r = record(wide(), run_on_two());
  for (const char* self : {"n1", "n2"}) {
    const auto d = kairo::node::decide(r, {nowhere, 1000, "", self});
    REQUIRE(kinds(d) == "PrepareRun");
    CHECK(d.commands[0].body.AsPrepareRun()->run->node == self);
    CHECK(d.commands[0].body.AsPrepareRun()->run->place == std::string(self) + "/uid-" + self);
  }
  CHECK(kinds(kairo::node::decide(r, {nowhere, 1000, "", "n3"})) == "");
  const auto over = [&](const char* self, const std::string& place) {
    return kinds(kairo::node::decide(
        record(leaving(wide(2)), run_on_two(2, false), run_dir(1), dir_on_n2(1), server_on(place)),
        {nowhere, 1000, "", self}));
  };
  CHECK(over("n2", "n1/uid-n1,n2/uid-n2") == "");
  CHECK(over("n2", "n1/uid-n1") == "RemoveRun");
  const auto moved = record(wide(), planned(2), run_dir(1), dir_on_n2(1));  // to one node
  CHECK(kinds(kairo::node::decide(moved, {nowhere, 1000, "", "n2"})) == "RemoveRun");
  CHECK(kinds(kairo::node::decide(moved, {nowhere, 1000, "", "n1"})) == "");
}

TEST_CASE("spread: a deletion waits for the directory of each node") {
  runtime::Nodes nodes;
  nodes.emplace("n1", test::node(1));
  nodes.emplace("n2", test::node(1));
  wire::ResourcesT released = on_two(2);
  released.state = wire::ResourcesState::Released;
  const auto waits = [&](wire::RunDirState of_second) {
    auto r = record(leaving(wide(2)), wire::ResourcesT(released), run_on_two(2, false),
                    run_dir(1, "rev1", wire::RunDirState::Removed), dir_on_n2(1, of_second));
    const auto d = watcher::decide(r, {nodes, 1000});
    if (d.status)
      for (const auto& c : d.status->conditions)
        if (c->type == "WorkspaceDeleting") return c->message;
    return kinds(d);
  };
  CHECK(waits(wire::RunDirState::Ready) ==
        "workspace is being deleted: waiting for node n2 to remove its run directory");
  CHECK(waits(wire::RunDirState::Removed).find("waiting for") == std::string::npos);
}
