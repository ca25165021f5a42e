// What this proves: on a real API server KAITO's documented Workspaces are taken as they stand, in
// both versions; what one version writes the other shows; the status holds what kairo writes; a
// Workspace from before the rules goes on.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "agents/watcher/status_json.h"
#include "tests/cluster/real_cluster.h"

using namespace kairo;
using namespace kairo::test;
namespace {
const std::string beta = "v1beta1", alpha = "v1alpha1";

Json tuning(const std::string& name, const std::string& version) {
  return {{"apiVersion", "kaito.sh/" + version},
          {"kind", "Workspace"},
          {"metadata", {{"name", name}}},
          {"resource",
           {{"instanceType", "Standard_NC24ads_A100_v4"},
            {"labelSelector", {{"matchLabels", {{"app", "t"}}}}}}},
          {"tuning",
           {{"preset", {{"name", "phi-4"}}},
            {"method", "qlora"},
            {"input", {{"urls", {"https://example.com/d"}}}},
            {"output", {{"image", "r/x:1"}, {"imagePushSecret", "s"}}}}}};
}
std::string path_of(const std::string& version, const std::string& name) {
  return workspaces_path(version) + "/" + name;
}
Json create(KubeApi& api, const std::string& version, const Json& object) {
  const Answer made = api.ask("POST", workspaces_path(version) + "?fieldValidation=Strict", object);
  REQUIRE_MESSAGE(made.ok(), made.body.dump());
  return made.body;
}
Json wishes(Json object) {  // what its user wrote, and the defaults
  for (const char* other : {"apiVersion", "kind", "metadata", "status"}) object.erase(other);
  return object;
}
// Every field that the watcher may write.
wire::StatusT full_status() {
  wire::StatusT out;
  out.state = "Succeeded";
  out.target_nodes = 1;
  out.nodes = {"n1"};
  for (const char* type : {"ResourceReady", "JobStarted", "WorkspaceSucceeded"}) {
    auto condition = std::make_unique<wire::ConditionT>();
    condition->type = type;
    condition->value = "True";
    condition->reason = "workspaceSucceeded";
    condition->message = "";
    condition->generation = 1;
    condition->changed_at_ms = 1'700'000'000'000;
    out.conditions.push_back(std::move(condition));
  }
  out.tuning = std::make_unique<wire::TuningStatusT>();
  auto& t = *out.tuning;
  t.phase = "Done";
  t.step = t.total_steps = 10;
  t.epoch = 1.5F;
  t.loss = t.best_eval_loss = 0.25F;
  t.tokens_per_second = 99.5F;
  t.eta_seconds = 0;
  t.attempt = 2;
  t.resumed_from = t.best_step = 5;
  t.rows = 100;
  t.held_out_rows = t.dropped_rows = t.truncated_rows = 3;
  t.eval_step = 9;
  t.eval_loss = 0.5F;
  t.device = "NVIDIA H200";
  t.self_test = "all 29 calls agree";
  out.artifact = std::make_unique<wire::ArtifactStatusT>();
  out.artifact->image = "r/x:1";
  out.artifact->digest = "sha256:" + std::string(64, 'a');
  out.artifact->size_bytes = 123;
  out.address = "http://127.0.0.1:1/chat";
  auto adapter = std::make_unique<wire::AdapterStatusT>();
  adapter->name = "pip";
  adapter->state = "Replacing";
  adapter->digest = out.artifact->digest;
  adapter->image = "r/x@" + out.artifact->digest;
  adapter->since_ms = 1'700'000'000'000;
  adapter->message = "it comes";
  out.adapters.push_back(std::move(adapter));
  return out;
}
void take_rules_away(Json& schema) {
  if (schema.is_object()) schema.erase("x-kubernetes-validations");
  if (schema.is_structured())
    for (Json& part : schema) take_rules_away(part);
}
// The definition as KAITO's own is: no rules, none of our fields.
Json kaitos(Json definition) {
  for (Json& version : definition["spec"]["versions"]) {
    take_rules_away(version);
    Json& fields = version["schema"]["openAPIV3Schema"]["properties"];
    fields.erase("terminationGracePeriodSeconds");
    for (const char* ours : {"tuning", "artifact", "address", "adapters"})
      fields["status"]["properties"].erase(ours);
    if (version["name"] == alpha)
      for (const char* newer : {"state", "targetNodeCount", "performance"})
        fields["status"]["properties"].erase(newer);
  }
  return definition;
}
// The server takes a definition a moment later: `probe` tells which one is in force.
void define(KubeApi& api, Json definition, const Json& probe, bool is_taken) {
  const std::string path =
      "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/workspaces.kaito.sh";
  definition["metadata"]["resourceVersion"] = api.get(path).body["metadata"]["resourceVersion"];
  const Answer put = api.ask("PUT", path, definition);
  REQUIRE_MESSAGE(put.ok(), put.body.dump());
  for (int i = 0; i < 200; ++i, std::this_thread::sleep_for(std::chrono::milliseconds(50)))
    if (api.ask("POST", workspaces_path(beta) + "?dryRun=All", probe).ok() == is_taken) return;
  FAIL("the definition does not act");
}
// As kubectl prints it; cells of the hidden columns with `wide`. The age goes.
std::string printed(const Json& table, bool wide) {
  std::string out;
  const Json& columns = table["columnDefinitions"];
  const auto is_shown = [&](std::size_t i) {
    return columns[i]["name"] != "Age" && (wide || columns[i]["priority"] == 0);
  };
  for (std::size_t i = 0; i < columns.size(); ++i)
    if (is_shown(i)) out += columns[i]["name"].get<std::string>() + "|";
  for (const Json& row : table["rows"]) {
    out += "\n";
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const Json& cell = row["cells"][i];
      if (is_shown(i))
        out += (cell.is_null()     ? ""
                : cell.is_string() ? cell.get<std::string>()
                                   : cell.dump()) +
               "|";
    }
  }
  return out;
}
}  // namespace

TEST_CASE("documented Workspaces are taken as they stand, in both versions") {
  KubeApi* api = real_cluster();
  if (api == nullptr) return;
  std::vector<Json> all = documents("tests/cluster/documented.yaml");
  for (const Json& more : documents("examples/kaito/phi-3-tuning.yaml")) all.push_back(more);
  CHECK(all.size() == 11);
  for (Json& object : all)
    for (const std::string& version : {beta, alpha}) {
      const bool is_newer = object["resource"].contains("partition");
      if (version == alpha && is_newer) continue;
      CAPTURE(object["metadata"]["name"]);
      CAPTURE(version);
      object["apiVersion"] = "kaito.sh/" + version;
      const Answer made =
          api->ask("POST", workspaces_path(version) + "?fieldValidation=Strict&dryRun=All", object);
      CHECK_MESSAGE(made.status == 201, made.body.dump());
      CHECK_FALSE(made.body.contains("warnings"));
    }
}

TEST_CASE("names, columns and the status in both versions") {
  KubeApi* api = real_cluster();
  if (api == nullptr) return;
  for (const std::string& version : {beta, alpha}) {
    const Json kinds = api->get("/apis/kaito.sh/" + version).body["resources"];
    CHECK(kinds[0]["shortNames"] == Json{"wk", "wks"});
    CHECK(kinds[0]["categories"] == Json{"workspace"});
    CHECK(kinds[0]["singularName"] == "workspace");
    CHECK(kinds[1]["name"] == "workspaces/status");
    CHECK(kinds.size() == 2);
  }
  create(*api, beta, tuning("columns", beta));
  const Json patch = Json::parse(watcher::status_patch(full_status()));
  const Answer written =
      api->merge(path_of(beta, "columns") + "/status?fieldValidation=Strict", patch);
  REQUIRE_MESSAGE(written.ok(), written.body.dump());
  const Json shown = api->get(path_of(alpha, "columns")).body["status"];
  CHECK(shown == written.body["status"]);
  CHECK(shown["tuning"].size() == 19);
  for (const auto& [key, value] : patch["status"].items()) CHECK(shown.contains(key));

  const auto table = [&](const std::string& version, bool wide) {
    return printed(api->ask("GET", workspaces_path(version), {}, "",
                            "application/json;as=Table;v=v1;g=meta.k8s.io")
                       .body,
                   wide);
  };
  CHECK(table(beta, false) ==
        "Name|Instance|ResourceReady|InferenceReady|JobStarted|WorkspaceSucceeded|TargetNodeCount|"
        "State|\ncolumns|Standard_NC24ads_A100_v4|True||True|True|1|Succeeded|");
  CHECK(table(alpha, false) ==
        "Name|Instance|ResourceReady|InferenceReady|JobStarted|WorkspaceSucceeded|\n"
        "columns|Standard_NC24ads_A100_v4|True||True|True|");
  CHECK(table(beta, true) ==
        "Name|Instance|ResourceReady|InferenceReady|JobStarted|WorkspaceSucceeded|TargetNodeCount|"
        "State|Phase|Step|Loss|Digest|\ncolumns|Standard_NC24ads_A100_v4|True||True|True|1|"
        "Succeeded|Done|10|0.25|sha256:" +
            std::string(64, 'a') + "|");
  CHECK(api->ask("DELETE", path_of(beta, "columns")).ok());
}

TEST_CASE("what one version writes the other shows") {
  KubeApi* api = real_cluster();
  if (api == nullptr) return;
  Json older = tuning("older", alpha);
  older["resource"].erase("instanceType");
  older["terminationGracePeriodSeconds"] = 120;
  const Json made = create(*api, alpha, older);
  CHECK(made["resource"]["instanceType"] == "Standard_NC24ads_A100_v4");  // its default
  CHECK(made["resource"]["count"] == 1);
  CHECK(made["tuning"]["preset"]["accessMode"] == "public");
  Json seen = api->get(path_of(beta, "older")).body;
  CHECK(wishes(seen) == wishes(made));
  seen["tuning"]["config"] = "mine";  // and back
  const Answer put = api->ask("PUT", path_of(beta, "older"), seen);
  REQUIRE_MESSAGE(put.ok(), put.body.dump());
  CHECK(wishes(api->get(path_of(alpha, "older")).body) == wishes(put.body));
  CHECK(api->ask("DELETE", path_of(alpha, "older")).ok());

  // Without an instanceType, as on own nodes: the older version takes a label and adds its default.
  Json newer = tuning("newer", beta);
  newer["resource"].erase("instanceType");
  CHECK_FALSE(create(*api, beta, newer)["resource"].contains("instanceType"));
  CHECK_FALSE(api->get(path_of(alpha, "newer")).body["resource"].contains("instanceType"));
  const Answer labelled =
      api->merge(path_of(alpha, "newer"), {{"metadata", {{"labels", {{"a", "b"}}}}}});
  CHECK_MESSAGE(labelled.ok(), labelled.body.dump());
  CHECK(api->ask("DELETE", path_of(beta, "newer")).ok());
}

TEST_CASE("on KAITO's definition the status loses our fields alone, and the policies act") {
  KubeApi* api = real_cluster();
  if (api == nullptr) return;
  const Json ours = documents("deploy/crds/kaito.sh_workspaces.yaml").front();
  Json probe = tuning("probe", beta);
  probe["tuning"]["method"] = "dora";
  define(*api, kaitos(ours), probe, true);
  create(*api, beta, tuning("plain", beta));
  const Json patch = Json::parse(watcher::status_patch(full_status()));
  const Answer written = api->merge(path_of(beta, "plain") + "/status", patch);
  CHECK_MESSAGE(written.ok(), written.body.dump());
  Json shown = patch["status"];
  for (const char* lost : {"tuning", "artifact", "address", "adapters"}) shown.erase(lost);
  CHECK(written.body["status"] == shown);
  // What the watcher repeats when it sees less than it wrote changes nothing more.
  const Answer again = api->merge(path_of(beta, "plain") + "/status", patch);
  CHECK(again.body["metadata"]["resourceVersion"] == written.body["metadata"]["resourceVersion"]);
  Json unknown = tuning("unknown", beta);
  unknown["tuning"]["preset"]["name"] = "gpt-9";
  CHECK(refusals(api->ask("POST", workspaces_path(beta), unknown).body) ==
        std::vector<std::string>{
            "invalid value: Unsupported tuning preset name gpt-9: tuning.presetName"});
  CHECK(api->ask("DELETE", path_of(beta, "plain")).ok());
  define(*api, ours, probe, false);
}

TEST_CASE("a Workspace from before the rules takes finalizers, status and its end") {
  KubeApi* api = real_cluster();
  if (api == nullptr) return;
  const Json ours = documents("deploy/crds/kaito.sh_workspaces.yaml").front();
  const auto edited = [&](const char* name, const char* at, const Json& value) {
    Json out = tuning(name, beta);
    out[Json::json_pointer(at)] = value;
    return out;
  };
  const std::vector<Json> old = {
      edited("w.dotted", "/resource/count", 1),
      edited("w-count", "/resource/count", 2),
      edited("w-url", "/tuning/input/urls", {"http://10.0.0.1/d"}),
      edited("w-method", "/tuning/method", "dora"),
      edited("w-both", "/inference", {{"preset", {{"name", "phi-4"}}}}),
      edited("w-output", "/tuning/output", Json::object()),
      edited("w-labels", "/resource/labelSelector",
             {{"matchExpressions", {{{"key", "a"}, {"operator", "Exists"}}}}}),
      edited("w-partition", "/resource/partition", {{"mode", "mig"}}),
  };
  const Json probe = edited("probe", "/tuning/method", "dora");
  define(*api, kaitos(ours), probe, true);
  for (const Json& object : old) create(*api, beta, object);
  define(*api, ours, probe, false);
  const Json status = Json::parse(watcher::status_patch(full_status()));
  for (const Json& object : old) {
    const std::string name = object["metadata"]["name"];
    CAPTURE(name);
    for (const std::string& version : {beta, alpha}) {
      const std::string path = path_of(version, name);
      const auto taken = [&](const Answer& answer) {
        CHECK_MESSAGE(answer.ok(), version << " " << answer.body.dump());
      };
      taken(api->merge(path, {{"metadata", {{"finalizers", {"kairo.dev/test"}}}}}));
      taken(api->merge(path, {{"metadata", {{"annotations", {{"a", "b"}}}}}}));
      taken(api->merge(path + "/status", status));
      taken(api->merge(path, {{"metadata", {{"finalizers", nullptr}}}}));
    }
    CHECK(api->ask("DELETE", path_of(beta, name)).ok());
    CHECK(api->get(path_of(beta, name)).status == 404);
  }
}

TEST_CASE("the largest Workspace within the bounds is within what rules may cost") {
  KubeApi* api = real_cluster();
  if (api == nullptr) return;
  Json large = tuning("large", beta);
  Json& selector = large["resource"]["labelSelector"];
  for (int i = 0; i < 32; ++i) {
    const std::string n = std::to_string(i);
    selector["matchLabels"]["k" + n] = std::string(63, 'v');
    selector["matchExpressions"].push_back(
        {{"key", "e" + n}, {"operator", "In"}, {"values", {std::string(63, 'x')}}});
  }
  selector["matchLabels"].erase("app");
  Json& urls = large["tuning"]["input"]["urls"] = Json::array();
  for (int i = 0; i < 256; ++i)
    urls.push_back("https://example.com/" + std::string(2025, 'a') + std::to_string(100 + i));
  large["tuning"]["output"]["image"] = "r/" + std::string(508, 'x') + ":1";
  Json made = create(*api, beta, large);
  // In another order all of it is compared.
  std::reverse(made["resource"]["labelSelector"]["matchExpressions"].begin(),
               made["resource"]["labelSelector"]["matchExpressions"].end());
  std::reverse(made["tuning"]["input"]["urls"].begin(), made["tuning"]["input"]["urls"].end());
  const Answer put = api->ask("PUT", path_of(beta, "large"), made);
  CHECK_MESSAGE(put.ok(), put.body.dump().substr(0, 1000));
  CHECK(api->ask("DELETE", path_of(beta, "large")).ok());
}
