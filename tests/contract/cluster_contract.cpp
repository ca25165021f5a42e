// tests/contract/cluster_contract.cpp - apply, get, list, watch, remove and log as cluster.h says.
#include "tests/contract/cluster_contract.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "agents/cluster/kinds.h"

namespace kairo::test {
namespace {
using namespace cluster;
using Json = nlohmann::json;

Apply config(const std::string& name, const Json& data, const std::string& color = "red",
             const std::string& manager = "one") {
  const Json object = {{"apiVersion", "v1"},
                       {"kind", "ConfigMap"},
                       {"metadata", {{"name", name}, {"labels", {{"color", color}}}}},
                       {"data", data}};
  return {{config_maps, "default", name}, object.dump(), manager, ""};
}
Json parsed(const Result<std::string>& text) {
  REQUIRE_MESSAGE(text.ok(), (text.ok() ? "" : text.error().what));
  return Json::parse(text.value());
}
std::string version_of(const std::string& object) {
  return Json::parse(object)["metadata"]["resourceVersion"];
}
// "+a ~a -a" for what happened since `version`, bookmarks aside; moves `version` on.
std::string watched(Cluster& cluster, const Selection& selection, std::string& version,
                    std::size_t want, std::int64_t patience_ms) {
  std::string out;
  std::size_t count = 0;
  for (std::int64_t tries = 0; count < want && tries < patience_ms / 50; ++tries) {
    const auto got = cluster.watch(selection, version, 50);
    REQUIRE_MESSAGE(got.ok(), (got.ok() ? "" : got.error().what));
    for (const Event& event : got.value()) {
      version = version_of(event.object);
      if (event.type == Event::Type::bookmark) continue;
      const char sign = event.type == Event::Type::added     ? '+'
                        : event.type == Event::Type::deleted ? '-'
                                                             : '~';
      out += (out.empty() ? "" : " ") + std::string(1, sign) +
             Json::parse(event.object)["metadata"]["name"].get<std::string>();
      ++count;
    }
  }
  return out;
}
Code code_of(const auto& result) {
  REQUIRE_FALSE(result.ok());
  return result.error().code;
}

void writes(Cluster& c) {
  const Ref ref{config_maps, "default", "a"};
  CHECK(code_of(c.get(ref)) == Code::not_found);
  const Json made = parsed(c.apply(config("a", {{"x", "1"}})));
  CHECK(made["kind"] == "ConfigMap");
  CHECK(made["metadata"]["namespace"] == "default");
  CHECK(parsed(c.get(ref))["data"] == made["data"]);
  const Json same = parsed(c.apply(config("a", {{"x", "1"}})));
  CHECK(same["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]);
  CHECK(parsed(c.apply(config("a", {{"y", "2"}}, "red", "two")))["data"] ==
        Json{{"x", "1"}, {"y", "2"}});
  CHECK(parsed(c.apply(config("a", {{"z", "3"}})))["data"] == Json{{"y", "2"}, {"z", "3"}});
  CHECK(parsed(c.apply(config("a", {{"y", "4"}})))["data"]["y"] == "4");  // forced

  Apply wrong = config("a", {{"x", "1"}});
  wrong.json = R"({"apiVersion":"v1","kind":"Pod"})";
  CHECK(code_of(c.apply(wrong)) == Code::invalid);
}

// What is there is left alone, whoever's it is. What is created can be applied later, by its maker
// too.
void creates(Cluster& c) {
  const Ref ref{config_maps, "default", "n"};
  const Json made = parsed(c.create(config("n", {{"x", "1"}})));
  CHECK(made["kind"] == "ConfigMap");
  CHECK(made["metadata"]["namespace"] == "default");
  CHECK(parsed(c.get(ref)) == made);
  for (const char* manager : {"one", "two"})
    CHECK(code_of(c.create(config("n", {{"x", "2"}}, "blue", manager))) == Code::conflict);
  CHECK(parsed(c.get(ref))["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]);
  CHECK(parsed(c.apply(config("n", {{"x", "1"}, {"z", "3"}})))["data"] ==
        Json{{"x", "1"}, {"z", "3"}});
  CHECK(parsed(c.apply(config("n", {{"y", "4"}})))["data"] == Json{{"x", "1"}, {"y", "4"}});
  Apply wrong = config("n2", {{"x", 1}});
  CHECK(code_of(c.create(wrong)) == Code::invalid);
  CHECK(code_of(c.get(wrong.ref)) == Code::not_found);
  REQUIRE(c.remove(ref, "").ok());
}

// A UID in the body is no precondition: an immutable field of what is there, and not looked at in a
// status. Only resourceVersion guards a status.
void uids(Cluster& c, const Ref& ref) {
  const std::string foreign = R"({"metadata":{"uid":"other"},"status":{"state":"Waiting"}})";
  CHECK(code_of(c.patch({ref, foreign, ""})) == Code::invalid);
  CHECK(parsed(c.patch({ref, foreign, "status"}))["status"]["state"] == "Waiting");
  Json body = Json::parse(foreign);
  body["apiVersion"] = "kaito.sh/v1beta1";
  body["kind"] = "Workspace";
  CHECK(code_of(c.apply({ref, body.dump(), "one", ""})) == Code::invalid);
  CHECK(parsed(c.apply({ref, body.dump(), "one", "status"}))["status"]["state"] == "Waiting");
  const Ref absent{ref.kind, ref.ns, "absent"};
  CHECK(code_of(c.apply({absent, body.dump(), "one", ""})) == Code::conflict);
  CHECK(code_of(c.patch({absent, foreign, "status"})) == Code::not_found);
}

void patches(Cluster& c) {
  const Ref ref{config_maps, "default", "p"};
  const std::string change = R"({"data":{"x":null,"y":"2"}})";
  CHECK(code_of(c.patch({ref, change, ""})) == Code::not_found);
  const Json made = parsed(c.apply(config("p", {{"x", "1"}, {"z", "3"}})));
  const Json changed = parsed(c.patch({ref, change, ""}));
  CHECK(changed["data"] == Json{{"y", "2"}, {"z", "3"}});
  const auto guarded = [](const Json& version) {
    return Json{{"metadata", {{"resourceVersion", version}}}, {"data", {{"y", "4"}}}}.dump();
  };
  const Json old = made["metadata"]["resourceVersion"],
             now = changed["metadata"]["resourceVersion"];
  CHECK(code_of(c.patch({ref, guarded(old), ""})) == Code::conflict);
  CHECK(parsed(c.get(ref))["data"]["y"] == "2");
  const Json written = parsed(c.patch({ref, guarded(now), ""}));
  CHECK(written["data"]["y"] == "4");
  const Json same = parsed(c.patch({ref, R"({"data":{"y":"4"}})", ""}));  // changes nothing
  CHECK(same["metadata"]["resourceVersion"] == written["metadata"]["resourceVersion"]);
  CHECK(code_of(c.patch({ref, R"({"data":{"y":4}})", ""})) == Code::invalid);
  CHECK(code_of(c.patch({ref, "[]", ""})) == Code::invalid);
  REQUIRE(c.remove(ref, "").ok());
}

void statuses(Cluster& c) {
  // A Workspace: no controller of the cluster itself writes its status.
  const Json workspace = {{"apiVersion", "kaito.sh/v1beta1"},
                          {"kind", "Workspace"},
                          {"metadata", {{"name", "w"}, {"finalizers", {"kairo.dev/test"}}}},
                          {"inference", {{"preset", {{"name", "phi-4"}}}}},
                          {"status", {{"state", "Running"}}}};
  const Ref ref{workspaces, "default", "w"};
  CHECK(code_of(c.apply({ref, workspace.dump(), "status", "status"})) == Code::not_found);
  CHECK_FALSE(parsed(c.apply({ref, workspace.dump(), "one", ""}))
                  .value("status", Json::object())
                  .contains("state"));
  CHECK(parsed(c.apply({ref, workspace.dump(), "status", "status"}))["status"]["state"] ==
        "Running");
  const Json before = parsed(c.apply({ref, workspace.dump(), "one", ""}));
  CHECK(before["status"]["state"] == "Running");
  // A merge patch writes the status and nothing else, whoever owned it before.
  const Json version = before["metadata"]["resourceVersion"];
  const auto patch = [&](const char* state) {
    return Patch{
        ref,
        Json{{"metadata", {{"resourceVersion", version}, {"labels", {{"not", "written"}}}}},
             {"status", {{"state", state}, {"workerNodes", {"n1"}}}}}
            .dump(),
        "status"};
  };
  const Json after = parsed(c.patch(patch("Succeeded")));
  CHECK(after["status"]["state"] == "Succeeded");
  CHECK(after["status"]["workerNodes"] == Json{"n1"});
  CHECK_FALSE(after["metadata"].contains("labels"));
  CHECK(after["metadata"]["generation"] == before["metadata"]["generation"]);
  CHECK(code_of(c.patch(patch("Failed"))) == Code::conflict);  // that version is of the past

  const std::string uid = parsed(c.get(ref))["metadata"]["uid"];
  uids(c, ref);
  CHECK(code_of(c.remove(ref, "other")) == Code::conflict);
  CHECK(c.remove(ref, uid).ok());
  CHECK(parsed(c.get(ref))["metadata"]["deletionTimestamp"].is_string());  // the finalizer holds
  // A finalizer goes by a patch, whoever put it there.
  CHECK(c.patch({ref, R"({"metadata":{"finalizers":null}})", ""}).ok());
  CHECK(code_of(c.get(ref)) == Code::not_found);
  CHECK(c.remove(ref, uid).ok());  // absent already
}

void lists_and_watches(Cluster& c, const Traits& traits) {
  const std::int64_t patience_ms = traits.patience_ms;
  const Selection all{config_maps, "", ""}, red{config_maps, "default", "color=red"},
      elsewhere{config_maps, "other", ""};
  REQUIRE(c.apply(config("c", {})).ok());
  REQUIRE(c.apply(config("b", {}, "blue")).ok());
  const auto listing = c.list(all);
  REQUIRE(listing.ok());
  std::string names;
  for (const std::string& item : listing.value().items) {
    CHECK(Json::parse(item)["kind"] == "ConfigMap");
    const Json meta = Json::parse(item)["metadata"];
    if (meta["namespace"] == "default") names += meta["name"];  // a real server has some of its own
  }
  CHECK(names == "abc");
  CHECK(c.list(red).value().items.size() == 2);
  CHECK(c.list(elsewhere).value().items.empty());

  std::string at_all = listing.value().resource_version, at_red = at_all;
  CHECK(watched(c, all, at_all, 1, 100).empty());
  REQUIRE(c.apply(config("b", {}, "red")).ok());
  REQUIRE(c.apply(config("c", {{"k", "v"}})).ok());
  REQUIRE(c.apply(config("c", {{"k", "v"}}, "blue")).ok());
  REQUIRE(c.remove({config_maps, "default", "b"}, "").ok());
  CHECK(watched(c, all, at_all, 4, patience_ms) == "~b ~c ~c -b");
  CHECK(watched(c, red, at_red, 4, patience_ms) == "+b ~c -c -b");
  std::string again = listing.value().resource_version;
  CHECK(watched(c, all, again, 4, patience_ms) == "~b ~c ~c -b");
  const auto future = c.watch(all, "999999999", 1000);
  CHECK(code_of(future) == Code::expired);
  const Selection unserved{{"kaito.sh", "v9", "nothings", "Nothing", true}, "", ""};
  if (traits.is_http) CHECK(code_of(c.list(unserved)) == Code::unavailable);
}

void owners(Cluster& c, std::int64_t patience_ms) {
  const Json owner = parsed(c.apply(config("owner", {})));
  Apply owned = config("owned", {});
  Json object = Json::parse(owned.json);
  object["metadata"]["ownerReferences"] = Json::array({{{"apiVersion", "v1"},
                                                        {"kind", "ConfigMap"},
                                                        {"name", "owner"},
                                                        {"uid", owner["metadata"]["uid"]}}});
  owned.json = object.dump();
  REQUIRE(c.apply(owned).ok());
  std::string version = c.list({config_maps, "", ""}).value().resource_version;
  REQUIRE(c.remove({config_maps, "default", "owner"}, owner["metadata"]["uid"]).ok());
  CHECK(watched(c, {config_maps, "", ""}, version, 2, patience_ms) == "-owner -owned");
}
}  // namespace

void cluster_contract(Cluster& cluster, const Traits& traits) {
  writes(cluster);
  creates(cluster);
  patches(cluster);
  statuses(cluster);
  lists_and_watches(cluster, traits);
  if (traits.has_controllers) owners(cluster, traits.patience_ms);
  CHECK(code_of(cluster.log({pods, "default", "none"}, "c", 0)) == Code::not_found);
}
}  // namespace kairo::test
