// What this proves: a Workspace's first revision costs two writes and no read; what was written
// before, by whom and in which half, is read and gone on from.
#include "agents/watcher/effects.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "agents/bus/memory_bus.h"
#include "agents/cluster/kinds.h"
#include "agents/local/apiserver/memory_cluster.h"
#include "agents/watcher/revision.h"
#include "tests/support/counted_cluster.h"
#include "tests/support/fake_clock.h"

using namespace kairo;
using Json = nlohmann::json;
namespace {
const Json wishes = {{"apiVersion", "kaito.sh/v1beta1"},
                     {"kind", "Workspace"},
                     {"resource", {{"labelSelector", {{"matchLabels", {{"a", "b"}}}}}}},
                     {"tuning",
                      {{"preset", {{"name", "phi-4"}}},
                       {"method", "lora"},
                       {"input", {{"urls", {"http://x/a"}}}},
                       {"output", {{"image", "r/a:1"}}}}}};
struct Desk {
  test::FakeClock clock;
  cluster::MemoryCluster real{clock, "seed"};
  test::CountedCluster cluster{real};
  bus::MemoryBroker broker{clock};
  bus::MemoryBus bus{broker};
  watcher::Workspaces workspaces;
  watcher::WatcherEffects effects{cluster, bus, workspaces, clock};
  const cluster::Ref ref{cluster::workspaces, "d", "w"};

  Json apply(const Json& object) {
    return Json::parse(real.apply({ref, object.dump(), "user", ""}).value());
  }
  Json workspace() { return Json::parse(real.get(ref).value()); }
  // As the watcher's source hears of it.
  void hear() {
    const Json now = workspace();
    workspaces.add({now["metadata"]["uid"], "d", "w"});
    workspaces.saw(now["metadata"]["uid"],
                   std::stoull(now["metadata"]["resourceVersion"].get<std::string>()),
                   std::make_shared<const Json>(now));
  }
  Status save(bool finalize = true) {
    wire::CommandT command;
    command.uid = workspace()["metadata"]["uid"];
    command.ns = "d";
    command.name = "w";
    command.revision = watcher::revision_of_object(workspace());
    wire::SaveRevisionT body;
    body.finalize = finalize;
    command.body.Set(std::move(body));
    cluster.calls.clear();
    return effects.perform(command);
  }
  std::vector<Json> revisions() {
    std::vector<Json> out;
    for (const std::string& text :
         real.list({cluster::controller_revisions, "d", ""}).value().items)
      out.push_back(Json::parse(text));
    return out;
  }
  std::string number() {
    return workspace()["metadata"]["annotations"]["workspace.kaito.io/revision"];
  }
};
const Json finalizers = {"workspace.finalizer.kaito.sh"};
}  // namespace

TEST_CASE(
    "first revision: the ControllerRevision, finalizer and annotations in one write, no read") {
  Desk w;
  w.apply(wishes);
  w.hear();
  REQUIRE(w.save().ok());
  CHECK(w.cluster.calls == "create patch");
  CHECK(w.workspace()["metadata"]["finalizers"] == finalizers);
  CHECK(w.number() == "1");
  REQUIRE(w.revisions().size() == 1);
  CHECK(w.revisions()[0]["revision"] == 1);
  REQUIRE(w.save().ok());  // a crash repeats it
  CHECK(w.cluster.calls == "get list");
  CHECK(w.revisions().size() == 1);
}
TEST_CASE("first revision: without the object at hand, or when it has been changed, it is read") {
  Desk w;
  w.apply(wishes);
  REQUIRE(w.save().ok());
  CHECK(w.number() == "1");
  CHECK(w.workspace()["metadata"]["finalizers"] == finalizers);
  Desk changed;
  changed.apply(wishes);
  changed.hear();
  Json labelled = wishes;
  labelled["metadata"]["labels"]["x"] = "y";
  changed.apply(labelled);  // another version than the one heard of
  REQUIRE(changed.save().ok());
  CHECK(changed.cluster.calls.starts_with("create patch get"));
  CHECK(changed.number() == "1");
  CHECK(changed.workspace()["metadata"]["finalizers"] == finalizers);
}
TEST_CASE("a later revision has the next number, an earlier one its own again") {
  Desk w;
  w.apply(wishes);
  w.hear();
  REQUIRE(w.save().ok());
  Json other = wishes;
  other["tuning"]["method"] = "qlora";
  w.apply(other);
  w.hear();
  REQUIRE(w.save(false).ok());
  CHECK(w.number() == "2");
  w.apply(wishes);
  w.hear();
  REQUIRE(w.save(false).ok());
  CHECK(w.number() == "1");
  CHECK(w.revisions().size() == 2);
}
TEST_CASE("annotations that somebody took away come back as they were") {
  Desk w;
  w.apply(wishes);
  w.hear();
  REQUIRE(w.save().ok());
  REQUIRE(w.real.patch({w.ref, R"({"metadata":{"annotations":null,"finalizers":null}})", ""}).ok());
  w.hear();
  REQUIRE(w.save().ok());
  CHECK(w.number() == "1");
  CHECK(w.workspace()["metadata"]["finalizers"] == finalizers);
  CHECK(w.revisions().size() == 1);
}
TEST_CASE("a deleted namesake's ControllerRevision that is still there makes way") {
  Desk w;
  const std::string uid = w.apply(wishes)["metadata"]["uid"];
  w.hear();
  const auto plan = watcher::plan_revision(w.workspace(), {}).value();
  Json left = Json::parse(plan.object);
  left["metadata"]["ownerReferences"][0]["uid"] = "namesake";
  left["revision"] = 7;
  REQUIRE(
      w.real
          .apply(
              {{cluster::controller_revisions, "d", plan.name}, left.dump(), "kairo-watcher", ""})
          .ok());
  REQUIRE(w.save().ok());
  REQUIRE(w.revisions().size() == 1);
  CHECK(w.revisions()[0]["metadata"]["ownerReferences"][0]["uid"] == uid);
  CHECK(w.revisions()[0]["revision"] == 1);
  CHECK(w.number() == "1");
}
TEST_CASE("what is lost between the ControllerRevision and the annotations is made up for") {
  Desk w;
  w.apply(wishes);
  w.hear();
  w.cluster.refuses_patches = true;
  CHECK(w.save().error().code == Code::unavailable);
  CHECK(watcher::noted_on(w.workspace()) == watcher::Noted{});  // whoever looks sees it
  REQUIRE(w.revisions().size() == 1);
  w.cluster.refuses_patches = false;
  REQUIRE(w.save().ok());
  CHECK(w.number() == "1");
  CHECK(w.revisions().size() == 1);
}
TEST_CASE("a Workspace that is being deleted, or a namesake's, is left alone") {
  Desk w;
  Json held = wishes;
  held["metadata"]["finalizers"] = {"somebody/else"};
  w.apply(held);
  REQUIRE(w.real.remove(w.ref, "").ok());
  w.hear();
  REQUIRE(w.save().ok());
  CHECK(w.workspace()["metadata"]["finalizers"] == Json{"somebody/else"});
  CHECK(w.revisions().empty());
}
TEST_CASE("a finalizer that somebody took away while a row waited does not come back") {
  Desk w;
  Json held = wishes;
  held["metadata"]["finalizers"] = {"somebody/else"};
  w.apply(held);
  w.hear();
  wire::SetFinalizerT set;
  set.present = true;
  set.others = {"somebody/else"};
  set.version = std::stoull(w.workspace()["metadata"]["resourceVersion"].get<std::string>());
  wire::CommandT command;
  command.uid = w.workspace()["metadata"]["uid"];
  command.ns = "d";
  command.name = "w";
  command.body.Set(wire::SetFinalizerT(set));
  w.cluster.calls.clear();
  REQUIRE(w.effects.perform(command).ok());
  CHECK(w.cluster.calls == "patch");
  CHECK(w.workspace()["metadata"]["finalizers"] ==
        Json({"somebody/else", "workspace.finalizer.kaito.sh"}));
  const Json none = {{"metadata", {{"finalizers", Json::array()}}}};
  REQUIRE(w.real.patch({w.ref, none.dump(), ""}).ok());
  w.hear();
  REQUIRE(w.effects.perform(command).ok());  // once more, as after a crash
  CHECK(w.workspace()["metadata"]["finalizers"] == Json{"workspace.finalizer.kaito.sh"});
}
