// What this proves: Objects behaves as the API server does: apply, status, deletion, watch, rows.
#include "agents/local/apiserver/objects.h"

#include <doctest/doctest.h>

#include "agents/cluster/kinds.h"

using namespace kairo;
using namespace kairo::cluster;
namespace {
constexpr std::int64_t now = 1'764'000'000'000;
struct Server {
  std::map<std::string, std::string> rows;
  bool is_disk_full = false;
  Json admitted_as;  // the version in which admission saw the last Workspace
  Objects objects{"seed", [this](const std::string&, const std::string& object) -> Status {
                    admitted_as = Json::parse(object)["apiVersion"];
                    if (object.find("forbidden") == std::string::npos) return ok();
                    return Error{Code::invalid, "no such model"};
                  }};
  // What the owner does after a call: the rows are kept, or all of it is taken back.
  template <class Done>
  Done kept(Done done) {
    if (!objects.has_unsaved()) return done;
    for (const auto& [key, value] : objects.take_unsaved()) {
      if (is_disk_full) break;
      if (value)
        rows[key] = *value;
      else
        rows.erase(key);
    }
    if (is_disk_full) {
      objects.roll_back();
      return Error{Code::unavailable, "disk full"};
    }
    objects.saved();
    return done;
  }
  Result<Json> apply(const Kind& kind, const std::string& name, Json body,
                     const std::string& manager = "m", const std::string& sub = "") {
    body["apiVersion"] = api_version(kind);
    body["kind"] = kind.kind;
    const Ref ref{kind, kind.namespaced ? "default" : "", name};
    const auto done = kept(objects.apply(ref, body.dump(), {manager, sub, true}, now));
    if (!done.ok()) return done.error();
    return Json::parse(done.value());
  }
  Json get(const Kind& kind, const std::string& name) {
    const auto got = objects.get({kind, kind.namespaced ? "default" : "", name});
    return got.ok() ? Json::parse(got.value()) : Json();
  }
  std::string refusal(const Kind& kind, const std::string& name, const Json& body) {
    const auto done = apply(kind, name, body);
    return done.ok() ? "" : done.error().what;
  }
  void collect_garbage() {
    objects.collect_garbage(now);
    REQUIRE(kept(ok()).ok());
  }
  Status remove(const Kind& kind, const std::string& name, const RemoveOptions& options = {}) {
    return kept(objects.remove({kind, "default", name}, options, now));
  }
};
Json config(const std::string& key, const std::string& value) {
  return {{"data", {{key, value}}}};
}
Json owned_by(const Json& owner) {
  return {{"metadata",
           {{"ownerReferences", Json::array({{{"apiVersion", owner["apiVersion"]},
                                              {"kind", owner["kind"]},
                                              {"name", owner["metadata"]["name"]},
                                              {"uid", owner["metadata"]["uid"]}}})}}}};
}
const Json tuning = Json::parse(R"({"resource":{"instanceType":"x","labelSelector":{}},
  "tuning":{"preset":{"name":"phi"},"input":{"urls":["u"]},"output":{"image":"i"}}})");
}  // namespace

TEST_CASE("apply creates, changes and is silent when nothing changes") {
  Server s;
  const Json first = s.apply(config_maps, "c", config("a", "1")).value();
  CHECK(first["metadata"]["resourceVersion"] == "1");
  CHECK(first["metadata"]["generation"] == 1);
  CHECK(first["metadata"]["creationTimestamp"] == "2025-11-24T16:00:00Z");
  CHECK(first["metadata"]["uid"].get<std::string>().size() == 36);
  CHECK(s.apply(config_maps, "c", config("a", "1")).value() == first);
  CHECK(s.objects.version() == 1);
  CHECK(s.apply(config_maps, "c", config("b", "2"), "other").value()["data"] ==
        Json{{"a", "1"}, {"b", "2"}});
  CHECK(s.apply(config_maps, "c", config("z", "3")).value()["data"] ==
        Json{{"b", "2"}, {"z", "3"}});  // "a" was m's only
}

TEST_CASE("apply without force names the owner of the field") {
  Server s;
  REQUIRE(s.apply(config_maps, "c", config("a", "1"), "first").ok());
  Json body = config("a", "2");
  body["apiVersion"] = "v1";
  body["kind"] = "ConfigMap";
  const Ref ref{config_maps, "default", "c"};
  const auto refused = s.kept(s.objects.apply(ref, body.dump(), {"second", "", false}, now));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::conflict);
  CHECK(refused.error().what == "Apply failed with conflicts:\n- conflict with \"first\": .data.a");
  REQUIRE(s.kept(s.objects.apply(ref, body.dump(), {"second", "", true}, now)).ok());
  // The field is second's now: first may drop it without effect.
  CHECK(s.apply(config_maps, "c", Json::object(), "first").value()["data"]["a"] == "2");
}

TEST_CASE("status and the rest do not touch each other") {
  Server s;
  Json body = tuning;
  body["status"] = {{"state", "ignored"}};
  const Json made = s.apply(workspaces, "w", body, "user").value();
  CHECK_FALSE(made.contains("status"));
  CHECK(made["resource"]["count"] == 1);
  CHECK(made["tuning"]["preset"]["accessMode"] == "public");
  const Json status = {{"status", {{"state", "Running"}}}, {"tuning", {{"method", "x"}}}};
  const Json with = s.apply(workspaces, "w", status, "watcher", "status").value();
  CHECK(with["status"]["state"] == "Running");
  CHECK(with["metadata"]["generation"] == 1);
  CHECK_FALSE(with["tuning"].contains("method"));
  body["resource"]["instanceType"] = "y";
  const Json changed = s.apply(workspaces, "w", body, "user").value();
  CHECK(changed["metadata"]["generation"] == 2);
  CHECK(changed["status"]["state"] == "Running");
  CHECK(s.apply(workspaces, "none", status, "watcher", "status").error().code == Code::not_found);
}

TEST_CASE("Workspaces: schema, admission, versions") {
  Server s;
  const auto with = [](const std::string& pointer, const Json& value) {
    Json body = tuning;
    body[Json::json_pointer(pointer)] = value;
    return body;
  };
  struct Row {
    std::string name, pointer;
    Json value;
    std::string refusal;
  };
  const std::string head = "Workspace.kaito.sh \"w\" is invalid: ";
  const std::vector<Row> rows{
      {"unknown at the top", "/spec", 1, "strict decoding error: unknown field \"spec\""},
      {"unknown below", "/tuning/inputs", 1,
       "strict decoding error: unknown field \"tuning.inputs\""},
      {"type", "/resource/count", "2",
       head + "resource.count: Invalid value: \"string\": resource.count in body must be of type "
              "integer: \"string\" (it is \"2\"; leave out the quotes)"},
      {"type in a volume",
       "/tuning/input/volumeSource",
       {{"configMap", {{"defaultMode", "0444"}}}},
       head + "tuning.input.volumeSource.configMap.defaultMode: Invalid value: \"string\": "
              "tuning.input.volumeSource.configMap.defaultMode in body must be of type integer: "
              "\"string\" (it is \"0444\"; leave out the quotes)"},
      {"admission", "/tuning/preset/name", "forbidden", head + "no such model"},
      {"enum", "/tuning/preset/accessMode", "secret",
       head + "tuning.preset.accessMode: Unsupported value: \"secret\": supported values: "
              "\"public\", \"private\""},
      {"any kind of volume", "/tuning/output/volumeSource", {{"ephemeral", 1}}, ""},
      {"no template keys are ours", "/inference/template", {{"containers", Json::array({{}})}}, ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(s.refusal(workspaces, "w", with(row.pointer, row.value)) == row.refusal);
  }
  Json missing = tuning;
  missing["tuning"].erase("input");
  CHECK(s.refusal(workspaces, "w2", missing) ==
        "Workspace.kaito.sh \"w2\" is invalid: tuning.input: Required value");
  CHECK(s.refusal(config_maps, "No_Name", {}).find("RFC 1123") != std::string::npos);

  Kind old = workspaces;
  old.version = "v1alpha1";
  const Json body = {{"resource", {{"labelSelector", Json::object()}}}};
  const Json made = s.apply(old, "old", body).value();
  CHECK(made["apiVersion"] == "kaito.sh/v1alpha1");
  CHECK(s.admitted_as == "kaito.sh/v1alpha1");  // as it was written: the rules differ
  CHECK(made["resource"]["instanceType"] == "Standard_NC24ads_A100_v4");
  CHECK(s.get(workspaces, "old")["apiVersion"] == "kaito.sh/v1beta1");
  CHECK(s.get(old, "old")["apiVersion"] == "kaito.sh/v1alpha1");
}

TEST_CASE("replace: the version is a precondition, other managers lose what it changed") {
  Server s;
  Json object = s.apply(config_maps, "c", config("a", "1")).value();
  const Ref ref{config_maps, "default", "c"};
  object["data"] = {{"a", "1"}, {"b", "2"}};
  REQUIRE(s.kept(s.objects.replace(ref, object.dump(), {"cli", "", true}, now)).ok());
  const auto late = s.kept(s.objects.replace(ref, object.dump(), {"cli", "", true}, now));
  REQUIRE_FALSE(late.ok());
  CHECK(late.error().code == Code::conflict);
  CHECK(late.error().what.find("the object has been modified") != std::string::npos);
  CHECK(s.apply(config_maps, "c", Json::object()).value()["data"] == Json{{"b", "2"}});
  CHECK(
      s.kept(s.objects.patch(ref, R"({"data":{"b":null,"c":"3"}})", {"cli", "", true}, now)).ok());
  CHECK(s.get(config_maps, "c")["data"] == Json{{"c", "3"}});
  Json again = config("a", "1");
  again.update(Json::parse(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"}})"));
  const auto twice =
      s.kept(s.objects.create(config_maps, "default", again.dump(), {"cli", "", true}, now));
  CHECK(twice.error().what == "configmaps \"c\" already exists");
}

TEST_CASE("deletion: finalizers first, then what was owned") {
  Server s;
  Json body = tuning;
  body["metadata"]["finalizers"] = {"f"};
  const Json w = s.apply(workspaces, "w", body).value();
  const Json job = s.apply(jobs, "j", owned_by(w)).value();
  REQUIRE(s.apply(config_maps, "c", owned_by(job)).ok());
  RemoveOptions other;
  other.uid = "another";
  CHECK(s.remove(workspaces, "w", other).error().code == Code::conflict);
  REQUIRE(s.remove(workspaces, "w").ok());
  CHECK(s.get(workspaces, "w")["metadata"]["deletionTimestamp"].is_string());
  CHECK_FALSE(s.get(jobs, "j").is_null());
  const std::uint64_t version = s.objects.version();
  REQUIRE(s.remove(workspaces, "w").ok());  // again: nothing new
  CHECK(s.objects.version() == version);
  REQUIRE(s.apply(workspaces, "w", tuning).ok());  // drops the finalizer
  CHECK(s.get(workspaces, "w").is_null());
  CHECK(s.get(jobs, "j").is_null());
  CHECK(s.get(config_maps, "c").is_null());
  CHECK(s.remove(workspaces, "w").error().code == Code::not_found);
  CHECK(s.rows.size() == 1);  // the version
}

TEST_CASE("deletion in the foreground waits for running pods") {
  Server s;
  const Json job = s.apply(jobs, "j", Json::object()).value();
  Json pod = owned_by(job);
  pod["spec"] = {{"nodeName", "n"}};
  REQUIRE(s.apply(pods, "p", pod).ok());
  REQUIRE(s.remove(jobs, "j", {"", Propagation::foreground, false}).ok());
  CHECK(s.get(jobs, "j")["metadata"]["deletionTimestamp"].is_string());
  CHECK(s.get(pods, "p")["metadata"]["deletionGracePeriodSeconds"] == 30);
  REQUIRE(s.remove(pods, "p", {"", Propagation::background, true}).ok());
  CHECK(s.get(pods, "p").is_null());
  CHECK(s.get(jobs, "j").is_null());
}

TEST_CASE("garbage: what came after its owner went is collected, the rest stays") {
  Server s;
  const Json w = s.apply(workspaces, "w", tuning).value();
  REQUIRE(s.apply(jobs, "kept", owned_by(w)).ok());
  Json gone = w;
  gone["metadata"]["uid"] = "gone";
  const Json late = s.apply(jobs, "late", owned_by(gone)).value();
  REQUIRE(s.apply(config_maps, "below", owned_by(late)).ok());
  s.collect_garbage();
  CHECK_FALSE(s.get(jobs, "kept").is_null());
  CHECK(s.get(jobs, "late").is_null());
  CHECK(s.get(config_maps, "below").is_null());
  const std::uint64_t version = s.objects.version();
  s.collect_garbage();
  CHECK(s.objects.version() == version);
}

TEST_CASE("watch: every change in order, selectors, a bounded past") {
  Server s;
  const Selection all{config_maps, "", ""}, red{config_maps, "default", "color=red"};
  const auto label = [](const std::string& color) {
    return Json{{"metadata", {{"labels", {{"color", color}}}}}};
  };
  REQUIRE(s.apply(config_maps, "c", label("red")).ok());
  REQUIRE(s.apply(config_maps, "c", label("blue")).ok());
  REQUIRE(s.apply(config_maps, "c", label("red")).ok());
  REQUIRE(s.remove(config_maps, "c").ok());
  const auto types = [&](const Selection& selection, std::uint64_t from) {
    std::string out;
    for (const Event& e : s.objects.events(selection, from).value())
      out += e.type == Event::Type::added ? 'a' : e.type == Event::Type::modified ? 'm' : 'd';
    return out;
  };
  CHECK(types(all, 0) == "ammd");
  CHECK(types(red, 0) == "adad");
  CHECK(types(red, 3) == "d");
  CHECK(types(all, 4).empty());
  CHECK(s.objects.events(all, 5).error().code == Code::expired);
  for (std::size_t i = 0; i <= events_max; ++i)
    REQUIRE(s.apply(config_maps, "c", config("i", std::to_string(i))).ok());
  CHECK(s.objects.events(all, 4).error().code == Code::expired);
  CHECK(types(all, 5).size() == events_max);
}

TEST_CASE("a write that cannot be stored has not happened; rows rebuild everything") {
  Server s;
  REQUIRE(s.apply(config_maps, "c", config("a", "1")).ok());
  s.is_disk_full = true;
  CHECK(s.apply(config_maps, "c", config("a", "2")).error().code == Code::unavailable);
  CHECK(s.get(config_maps, "c")["data"]["a"] == "1");
  CHECK(s.objects.version() == 1);
  s.is_disk_full = false;
  REQUIRE(s.remove(config_maps, "c").ok());
  REQUIRE(s.apply(config_maps, "c", config("a", "3")).ok());

  Server t;
  REQUIRE(t.objects.load({s.rows.begin(), s.rows.end()}).ok());
  CHECK(t.objects.version() == 3);
  CHECK(t.get(config_maps, "c") == s.get(config_maps, "c"));
  CHECK(t.objects.events({config_maps, "", ""}, 2).error().code == Code::expired);
  CHECK(t.apply(config_maps, "c", config("b", "1")).value()["data"] == Json{{"b", "1"}});
  Server damaged;
  CHECK(damaged.objects.load({{rows_prefix + "o//configmaps/default/c", "{}"}}).error().code ==
        Code::corrupt);
}

TEST_CASE("the data of a ControllerRevision is anybody's object") {
  Server s;
  const Json data = {{"adapters", Json::array({{{"imagePullSecrets", {"a", "b"}}}})},
                     {"ports", {80, 81}}};
  const auto done = s.apply(controller_revisions, "server-1", {{"data", data}, {"revision", 1}});
  REQUIRE_MESSAGE(done.ok(), (done.ok() ? "" : done.error().what));
  CHECK(s.get(controller_revisions, "server-1")["data"] == data);
}

TEST_CASE("hostile input is refused") {
  Server s;
  const auto apply = [&](const std::string& text) {
    return s.kept(s.objects.apply({config_maps, "default", "c"}, text, {"m", "", true}, now));
  };
  std::string deep = R"({"apiVersion":"v1","kind":"ConfigMap","data":)";
  for (int i = 0; i < 100'000; ++i) deep += '[';
  for (const std::string& text :
       {std::string(), std::string("[]"), std::string("{"), deep,
        std::string(object_bytes_max + 1, ' '), std::string("{\"a\":\"\xff\"}"),
        std::string(R"({"apiVersion":"v2","kind":"ConfigMap"})"),
        std::string(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"d"}})"),
        std::string(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":[]})"),
        std::string(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"labels":{"a":1}}})")}) {
    CAPTURE(text.substr(0, 80));
    const auto refused = apply(text);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == Code::invalid);
  }
}
