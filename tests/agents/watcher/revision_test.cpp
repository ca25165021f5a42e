// What this proves: the revision hash equals KAITO's (a value that its controller wrote), and
// ControllerRevisions are numbered, reused and bounded as KAITO does.
#include "agents/watcher/revision.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

using namespace kairo;
using Json = nlohmann::json;
namespace {
const std::string dolly =
    "https://huggingface.co/datasets/philschmid/dolly-15k-oai-style/resolve/main/data/"
    "train-00000-of-00001-54e3756291ca09c6.parquet?download=true";
Json documented() {
  return {
      {"metadata", {{"name", "workspace-tuning-phi-3"}, {"namespace", "default"}, {"uid", "u"}}},
      {"resource",
       {{"count", 1},
        {"instanceType", "Standard_NC24ads_A100_v4"},
        {"labelSelector", {{"matchLabels", {{"app", "tuning-phi-3"}}}}}}},
      {"tuning",
       {{"preset", {{"name", "phi-3-mini-128k-instruct"}, {"accessMode", "public"}}},
        {"method", "qlora"},
        {"input", {{"urls", {dolly}}}},
        {"output", {{"image", "acr.azurecr.io/x:0.0.1"}, {"imagePushSecret", "acr-secret"}}}}}};
}
std::string revision(const std::string& name, std::int64_t number, const std::string& hash) {
  return Json{{"metadata", {{"name", name}, {"annotations", {{"workspace.kaito.io/hash", hash}}}}},
              {"revision", number}}
      .dump();
}
const std::string golden = "7d7177a72808593e6cd6b7c9ccce865c9305855e459fcbae3b565d17662525b3";
}  // namespace

TEST_CASE("revision: the golden value of KAITO's controller") {
  CHECK(watcher::revision_of(documented().dump()).value() == golden);
  Json changed = documented();
  changed["status"] = {{"state", "Running"}};  // not part of it
  CHECK(watcher::revision_of(changed.dump()).value() == golden);
  changed["tuning"]["method"] = "lora";
  CHECK(watcher::revision_of(changed.dump()).value() != golden);
  changed = documented();
  changed["tuning"]["input"]["urls"][0] = "https://example.com/?a=1&b=<2>";
  CHECK(watcher::revision_of(changed.dump()).value() !=
        watcher::revision_of(documented().dump()).value());
  CHECK_FALSE(watcher::revision_of("[]").ok());
  CHECK_FALSE(watcher::revision_of("{").ok());
}
TEST_CASE("revision: numbers, reuse, the bound, collisions") {
  const Json w = documented();
  const std::string name = "workspace-tuning-phi-3-7d717";
  const auto first = watcher::plan_revision(w, {}).value();
  CHECK(first.name == name);
  CHECK(first.note == watcher::Noted{golden, 1});
  const Json object = Json::parse(first.object);
  CHECK(object["data"]["inference"].is_null());
  CHECK(object["data"]["tuning"]["preset"]["presetOptions"] == Json::object());
  CHECK(object["metadata"]["ownerReferences"][0]["uid"] == "u");
  const auto again =
      watcher::plan_revision(w, {revision(name, 3, golden), revision("x", 7, "h")}).value();
  CHECK(again.note.number == 3);  // an older spec keeps its number
  CHECK(again.object.empty());
  CHECK(watcher::plan_revision(w, {revision("x", 7, "h")}).value().note.number == 8);
  const auto clash = watcher::plan_revision(w, {revision(name, 1, "other")});
  REQUIRE_FALSE(clash.ok());
  CHECK(clash.error().what == "revision name conflicts, the hash values are different");
  std::vector<std::string> many;
  for (int i = 2; i <= 12; ++i) many.push_back(revision("r" + std::to_string(i), i, "h"));
  CHECK(watcher::plan_revision(w, many).value().expired == "r2");
  many.pop_back();
  CHECK(watcher::plan_revision(w, many).value().expired.empty());
  CHECK_FALSE(watcher::plan_revision(Json::array(), {}).ok());
}
TEST_CASE("revision: what a deleted namesake left counts for nothing, and goes") {
  const Json w = documented();
  const std::string name = "workspace-tuning-phi-3-7d717";
  const auto of = [](std::string text, const char* owner, const char* uid) {
    Json object = Json::parse(text);
    object["metadata"]["uid"] = uid;
    object["metadata"]["ownerReferences"] = {
        {{"kind", "Workspace"}, {"uid", owner}, {"controller", true}}};
    return object.dump();
  };
  const auto plan = watcher::plan_revision(w, {of(revision(name, 5, golden), "old", "r5"),
                                               of(revision("x", 6, "h"), "old", "r6")})
                        .value();
  CHECK(plan.note.number == 1);
  CHECK(plan.leftover == "r5");
  CHECK_FALSE(plan.object.empty());
  const auto ours = watcher::plan_revision(w, {of(revision(name, 5, golden), "u", "r5")}).value();
  CHECK(ours.note.number == 5);
  CHECK(ours.leftover.empty());
}
TEST_CASE("revision: what the Workspace names is believed when its ControllerRevision is missing") {
  Json w = documented();
  const auto note = [&](const std::string& hash, const std::string& number) {
    w["metadata"]["annotations"] = {{"workspace.kaito.io/hash", hash},
                                    {"workspace.kaito.io/revision", number}};
  };
  note(golden, "4");
  const auto missing = watcher::plan_revision(w, {}).value();
  CHECK(missing.note == watcher::Noted{golden, 4});
  CHECK_FALSE(missing.object.empty());
  note("another", "4");
  CHECK(watcher::plan_revision(w, {}).value().note.number == 5);
  note("another", "not a number");
  CHECK(watcher::plan_revision(w, {}).value().note.number == 1);
}
TEST_CASE("revision: it is the first one when the wishes never changed and none is named") {
  const auto is_first = [](const std::string& change) {
    Json w = documented();
    w["metadata"]["generation"] = 1;
    w.merge_patch(Json::parse(change));
    return watcher::has_first_revision(w);
  };
  CHECK(is_first("{}"));
  CHECK(is_first(R"({"metadata":{"annotations":{"other":"1"}}})"));
  CHECK_FALSE(is_first(R"({"metadata":{"generation":2}})"));
  CHECK_FALSE(is_first(R"({"metadata":{"generation":null}})"));
  CHECK_FALSE(is_first(R"({"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z"}})"));
  CHECK_FALSE(is_first(R"({"metadata":{"annotations":{"workspace.kaito.io/revision":"1"}}})"));
  CHECK_FALSE(is_first(R"({"metadata":{"annotations":{"workspace.kaito.io/hash":"h"}}})"));
  CHECK_FALSE(watcher::has_first_revision(Json()));
}
