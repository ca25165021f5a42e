// What this proves: Kubernetes' objects become the facts they mean; odd ones become errors, never a
// crash.
#include "agents/watcher/node_gpus.h"
#include "agents/watcher/translate.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "agents/cluster/kinds.h"
#include "schemas/base/codec.h"

using namespace kairo;
using namespace kairo::watcher;
namespace {
using Json = nlohmann::json;
const Json meta = {
    {"name", "w"}, {"namespace", "default"}, {"uid", "u1"}, {"resourceVersion", "7"}};
Json controller(const std::string& api, const std::string& kind, const std::string& uid) {
  return {{"apiVersion", api}, {"kind", kind}, {"name", "w"}, {"uid", uid}, {"controller", true}};
}
Json owned(const std::string& name) {
  return {{"name", name},
          {"namespace", "default"},
          {"uid", "x"},
          {"resourceVersion", "9"},
          {"labels", {{"kaito.sh/workspace", "w"}}},
          {"annotations", {{"kairo.dev/workspace-uid", "u1"}, {"kairo.dev/revision", "rev1"}}},
          {"ownerReferences", {controller("kaito.sh/v1alpha1", "Workspace", "u1")}}};
}
Json owned_pod(const std::string& name) {
  Json out = owned(name);
  out["ownerReferences"] = {controller("batch/v1", "Job", "j1")};
  return out;
}
wire::FactT fact_of(const cluster::Kind& kind, const Json& object, bool exists = true) {
  const auto fact = translate(kind, object, exists);
  REQUIRE_MESSAGE(fact.ok(), (fact.ok() ? "" : fact.error().what));
  return fact.value();
}
const Json tuning_workspace = {{"apiVersion", "kaito.sh/v1beta1"},
                               {"kind", "Workspace"},
                               {"metadata",
                                {{"name", "w"},
                                 {"namespace", "default"},
                                 {"uid", "u1"},
                                 {"resourceVersion", "7"},
                                 {"generation", 3},
                                 {"finalizers", {"workspace.finalizer.kaito.sh"}},
                                 {"annotations", {{"kaito.sh/x", "1"}, {"other", "2"}}}}},
                               {"resource",
                                {{"count", 2},
                                 {"instanceType", "Standard_NC24ads_A100_v4"},
                                 {"labelSelector", {{"matchLabels", {{"a", "b"}}}}}}},
                               {"tuning",
                                {{"preset", {{"name", "phi-4"}}},
                                 {"method", "QLoRA"},
                                 {"config", "c"},
                                 {"input", {{"urls", {"http://x/a", "http://x/b"}}}},
                                 {"output", {{"image", "r/a:1"}, {"imagePushSecret", "s"}}}}}};
}  // namespace

TEST_CASE("translate: the preset's weights from an image, of a private one only, as in KAITO") {
  struct Row {
    Json access;
    const char* image;
  };
  for (const Row& row : std::vector<Row>{{nullptr, ""}, {"private", "r/w:1"}, {"public", ""}}) {
    Json object = tuning_workspace;
    Json& preset = object["tuning"]["preset"];
    preset["presetOptions"] = {{"image", "r/w:1"}, {"imagePullSecrets", {"pull"}}};
    if (!row.access.is_null()) preset["accessMode"] = row.access;
    const auto fact = translate(cluster::workspaces, object, true).value();
    const wire::TuningT& tuning = *fact.body.AsWorkspace()->tuning;
    CHECK(tuning.weights_image == row.image);
    CHECK(tuning.weights_secrets.size() == (tuning.weights_image.empty() ? 0 : 1));
  }
}
TEST_CASE("a preset has the catalogue's name, however it is written") {
  for (const char* written :
       {"smollm2-135m-instruct", "SmolLM2-135M-Instruct", "HuggingFaceTB/SmolLM2-135M-Instruct"}) {
    Json object = tuning_workspace;
    object["tuning"]["preset"]["name"] = written;
    CHECK(fact_of(cluster::workspaces, object).body.AsWorkspace()->tuning->preset ==
          "smollm2-135m-instruct");
  }
}
TEST_CASE("a Workspace that is too large is told so, and what is taken in can be read again") {
  Json object = tuning_workspace;
  Json& labels = object["resource"]["labelSelector"]["matchLabels"];
  for (int i = 0; object.dump().size() < workspace_json_max - 100; ++i)
    labels["k" + std::to_string(i)] = "";
  wire::FactT fact = fact_of(cluster::workspaces, object);
  CHECK(fact.body.AsWorkspace()->problem.empty());
  CHECK(decode<wire::FactT>(encode(fact, wire::FactIdentifier()), wire::FactIdentifier()).ok());
  labels["long"] = std::string(200, 'x');
  fact = fact_of(cluster::workspaces, object);
  CHECK(fact.body.AsWorkspace()->problem.find("at most 65536 can be worked on") !=
        std::string::npos);
  CHECK_FALSE(fact.body.AsWorkspace()->tuning);
  CHECK(fact.body.AsWorkspace()->revision.size() == 64);
}
TEST_CASE("a tuning Workspace") {
  const wire::FactT fact = fact_of(cluster::workspaces, tuning_workspace);
  CHECK(fact.uid == "u1");
  CHECK(fact.ns == "default");
  CHECK(fact.name == "w");
  const wire::WorkspaceT& w = *fact.body.AsWorkspace();
  CHECK(w.version == 7);
  CHECK(w.exists);
  CHECK(w.generation == 3);
  CHECK(w.finalized);
  CHECK_FALSE(w.deleting);
  CHECK(w.count == 2);
  CHECK(w.instance_type == "Standard_NC24ads_A100_v4");
  REQUIRE(w.match_labels.size() == 1);
  CHECK(w.match_labels[0]->key == "a");
  REQUIRE(w.annotations.size() == 1);
  CHECK(w.annotations[0]->key == "kaito.sh/x");
  CHECK(w.tuning->preset == "phi-4");
  CHECK(w.tuning->method == "qlora");
  CHECK(w.tuning->input->urls == std::vector<std::string>{"http://x/a", "http://x/b"});
  CHECK(w.tuning->output->image_push_secret == "s");
  CHECK(w.inference == nullptr);
  CHECK(w.revision.size() == 64);
  CHECK(w.grace_seconds == -1);
  CHECK_FALSE(fact_of(cluster::workspaces, tuning_workspace, false).body.AsWorkspace()->exists);
}
TEST_CASE("a selector in either form, and the time that a server may take to end") {
  Json object = tuning_workspace;
  object["terminationGracePeriodSeconds"] = 300;
  object["resource"]["labelSelector"]["matchExpressions"] = {
      {{"key", "c"}, {"operator", "In"}, {"values", {"d"}}}};
  const wire::FactT fact = fact_of(cluster::workspaces, object);
  const wire::WorkspaceT& w = *fact.body.AsWorkspace();
  CHECK(w.grace_seconds == 300);
  REQUIRE(w.match_labels.size() == 2);
  CHECK(w.match_labels[1]->key == "c");
  CHECK(w.match_labels[1]->value == "d");
}

TEST_CASE(
    "a Job belongs to the Workspace that controls it, a pod to its Job's; words prove nothing") {
  const Json job = {
      {"metadata", owned("w")},
      {"status",
       {{"active", 1},
        {"failed", 2},
        {"conditions",
         {{{"type", "Failed"}, {"status", "True"}, {"reason", "BackoffLimitExceeded"}}}}}}};
  const wire::FactT fact = fact_of(cluster::jobs, job);
  CHECK(fact.uid == "u1");
  CHECK(fact.body.AsJob()->revision == "rev1");
  CHECK(fact.body.AsJob()->failed == 2);
  CHECK(fact.body.AsJob()->finished);
  CHECK_FALSE(fact.body.AsJob()->suspended);
  CHECK(fact.body.AsJob()->reason == "BackoffLimitExceeded");
  Json plain = job;  // KAITO's own have no annotation of ours
  plain["metadata"].erase("annotations");
  CHECK(fact_of(cluster::jobs, plain).uid == "u1");
  const Json pod = {{"metadata", owned_pod("w-x")}, {"status", Json::object()}};
  CHECK(fact_of(cluster::pods, pod).uid == "u1");
  CHECK(fact_of(cluster::pods, pod).name == "w");

  const auto is_stranger = [](const cluster::Kind& kind, Json object, const Json& owners) {
    object["metadata"]["ownerReferences"] = owners;
    const auto read = translate(kind, object, true);
    return !read.ok() && read.error().code == Code::not_found;
  };
  Json no_controller = controller("kaito.sh/v1beta1", "Workspace", "u1");
  no_controller["controller"] = false;
  for (const Json& owners :
       {Json(), Json::array(), Json{no_controller}, Json{controller("x.dev/v1", "Workspace", "u1")},
        Json{controller("batch/v1", "Job", "u1")},
        Json{controller("kaito.sh/v1beta1", "Workspace", "")}}) {
    CAPTURE(owners.dump());
    CHECK(is_stranger(cluster::jobs, job, owners));
    CHECK(is_stranger(cluster::stateful_sets, job, owners));
  }
  // A copy of a pod (kubectl debug --copy-to) has its labels and annotations, and no owner.
  for (const Json& owners : {Json(), Json{controller("kaito.sh/v1beta1", "Workspace", "u1")},
                             Json{controller("apps/v1", "ReplicaSet", "r1")}})
    CHECK(is_stranger(cluster::pods, pod, owners));
}

TEST_CASE("a pod's reason is what a person wants to know first") {
  struct Row {
    std::string name, status, container, reason, message;
    int exit_code;
  };
  const Row rows[] = {
      {"nothing wrong", R"({"phase":"Running","containerStatuses":[{"state":{"running":{}}}]})", "",
       "", "", 0},
      {"no node", R"({"phase":"Pending","conditions":[{"type":"PodScheduled","status":"False",
        "reason":"Unschedulable","message":"0/1 nodes"}]})",
       "", "Unschedulable", "0/1 nodes", 0},
      {"the download failed before the trainer waits",
       R"({"initContainerStatuses":[{"name":"data-downloader","state":{"terminated":{"exitCode":2,
        "reason":"Error","message":"404"}}}],"containerStatuses":[{"name":"w","state":{"waiting":
        {"reason":"PodInitializing"}}}]})",
       "data-downloader", "Error", "404", 2},
      {"killed for memory", R"({"containerStatuses":[{"name":"w","state":{"terminated":
        {"exitCode":137,"reason":"OOMKilled"}}}]})",
       "w", "OOMKilled", "", 137},
      {"evicted", R"({"reason":"Evicted","message":"low disk"})", "", "Evicted", "low disk", 0},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const wire::FactT fact = fact_of(
        cluster::pods, {{"metadata", owned_pod("w-x")}, {"status", Json::parse(row.status)}});
    const wire::PodT& pod = *fact.body.AsPod();
    CHECK(pod.container == row.container);
    CHECK(pod.reason == row.reason);
    CHECK(pod.message == row.message);
    CHECK(pod.exit_code == row.exit_code);
  }
}

TEST_CASE("a Node: quantities, GPUs, models") {
  const wire::FactT fact = fact_of(
      cluster::nodes,
      {{"metadata",
        {{"name", "n1"},
         {"uid", "x"},
         {"resourceVersion", "3"},
         {"labels",
          {{"nvidia.com/gpu.product", "NVIDIA-A100"}, {"nvidia.com/gpu.memory", "81920"}}},
         {"annotations",
          {{"kairo.dev/models", "a,,b"},
           {"kairo.dev/model-bytes", "a=12,odd,b=x=3"},
           {"kairo.dev/model-sources", "hub"},
           {"kairo.dev/gpus",
            R"({"driver":"580.95.05","trouble":"t","gpus":[7,{"uuid":"GPU-1","name":"NVIDIA H200",)"
            R"("capability":"9.0","memoryMiB":143771,"mig":true,"trouble":"Xid 79"},)"
            R"({"uuid":3,"memoryMiB":-1,"mig":"yes"}]})"}}}}},
       {"status",
        {{"allocatable", {{"cpu", "1500m"}, {"memory", "16384Ki"}, {"nvidia.com/gpu", "4"}}},
         {"nodeInfo",
          {{"kubeletVersion", "v1.35.0"}, {"containerRuntimeVersion", "containerd://2.1.5"}}},
         {"conditions", {{{"type", "Ready"}, {"status", "True"}}}}}}});
  CHECK(fact.uid == "n1");
  const wire::NodeT& node = *fact.body.AsNode();
  CHECK(node.cpu_milli == 1500);
  CHECK(node.memory_bytes == 16 << 20);
  CHECK(node.gpus == 4);
  CHECK(node.gpu_memory_bytes == 81920LL << 20);
  CHECK(node.ready);
  CHECK_FALSE(node.local);
  CHECK(node.models == std::vector<std::string>{"a", "b"});
  REQUIRE(node.model_bytes.size() == 2);
  CHECK(node.model_bytes[0]->key == "a");
  CHECK(node.model_bytes[0]->value == "12");
  CHECK(node.model_bytes[1]->key == "b=x");
  CHECK(node.sources == std::vector<std::string>{"hub"});
  CHECK(node.kubelet == "v1.35.0");
  CHECK(node.container_runtime == "containerd://2.1.5");
  REQUIRE(node.seen_gpus != nullptr);
  CHECK(node.seen_gpus->driver == "580.95.05");
  CHECK(node.seen_gpus->trouble == "t");
  REQUIRE(node.seen_gpus->gpus.size() == 2);
  wire::NodeGpuT gpu;
  CHECK(*node.seen_gpus->gpus[1] == gpu);  // what is wrong is not taken
  gpu.uuid = "GPU-1";
  gpu.name = "NVIDIA H200";
  gpu.capability = "9.0";
  gpu.memory_mib = 143'771;
  gpu.mig = true;
  gpu.trouble = "Xid 79";
  CHECK(*node.seen_gpus->gpus[0] == gpu);
}

TEST_CASE("what a node agent is said to tell of its GPUs has limits") {
  for (const char* wrong : {"", "[]", "null", "{\"gpus\":", "7"})
    CHECK(node_gpus(wrong) == nullptr);
  CHECK(node_gpus("{\"trouble\":\"" + std::string(66'000, 'x') + "\"}") == nullptr);
  CHECK(node_gpus("{\"trouble\":\"" + std::string(1'000, 'x') + "\"}")->trouble.size() == 512);
  std::string many = "{\"gpus\":[{}";
  for (int i = 0; i < 100; ++i) many += ",{}";
  CHECK(node_gpus(many + "]}")->gpus.size() == 64);
  CHECK(node_gpus("{\"gpus\":{\"a\":1}}")->gpus.empty());
}

TEST_CASE("a StatefulSet: how its server's weights are quantised is its launcher's note") {
  const wire::FactT fact = fact_of(
      cluster::stateful_sets,
      {{"metadata",
        {{"name", "w"},
         {"namespace", "d"},
         {"uid", "s"},
         {"resourceVersion", "3"},
         {"annotations", {{"kairo.dev/weights", "Q4_1, Q8_0"}, {"kairo.dev/revision", "rev1"}}},
         {"ownerReferences",
          {{{"apiVersion", "kaito.sh/v1beta1"},
            {"kind", "Workspace"},
            {"name", "w"},
            {"uid", "u"},
            {"controller", true}}}}}},
       {"spec", {{"replicas", 1}}}});
  CHECK(fact.body.AsServer()->weights == "Q4_1, Q8_0");
}

TEST_CASE("what is no such object is an error that says why") {
  const auto why = [](const std::string& json) {
    const auto fact = translate(cluster::workspaces, Json::parse(json, nullptr, false), true);
    REQUIRE_FALSE(fact.ok());
    CHECK(fact.error().code == Code::invalid);
    return fact.error().what;
  };
  CHECK(why("") == "Workspace: not a JSON object");
  CHECK(why("[]") == "Workspace: not a JSON object");
  CHECK(why("{}") == "Workspace: metadata.name, uid or resourceVersion is missing");
  CHECK(why(R"({"metadata":{"name":"w","uid":"u","resourceVersion":"abc"}})") ==
        "Workspace: metadata.name, uid or resourceVersion is missing");
}

TEST_CASE("changed bytes never crash the translation") {
  const std::pair<cluster::Kind, Json> seeds[] = {
      {cluster::workspaces, tuning_workspace},
      {cluster::jobs, {{"metadata", owned("w")}, {"status", {{"active", 1}, {"conditions", {1}}}}}},
      {cluster::pods, {{"metadata", owned("w")}, {"status", {{"phase", "Running"}}}}},
      {cluster::nodes, {{"metadata", meta}, {"status", {{"allocatable", {{"cpu", "1"}}}}}}}};
  std::mt19937 random(1);
  int translated = 0;
  for (int i = 0; i < 20'000; ++i) {
    const auto& [kind, seed] = seeds[static_cast<std::size_t>(i) % 4];
    std::string text = seed.dump();
    for (auto changes = 1 + random() % 4; changes > 0 && !text.empty(); --changes) {
      const std::size_t at = random() % text.size();
      const auto what = random() % 3;
      if (what == 0) text[at] = static_cast<char>(random());
      if (what == 1) text.erase(at, 1 + random() % 6);
      if (what == 2) text.insert(at, "[1e999,null,{\"a\":-1}]");
    }
    translated += translate(kind, Json::parse(text, nullptr, false), true).ok() ? 1 : 0;
  }
  CHECK(translated > 500);
}
TEST_CASE("translate: a NodePool says how many claims it is to have") {
  const Json labels = {{"karpenter.kaito.sh/workspace-name", "w"},
                       {"karpenter.kaito.sh/workspace-namespace", "default"}};
  Json pool = {
      {"kind", "NodePool"},
      {"metadata", {{"name", "p"}, {"uid", "x"}, {"resourceVersion", "9"}, {"labels", labels}}},
      {"spec", {{"replicas", 2U}}}};
  const auto read = [&] {
    return *translate(cluster::node_pools, pool, true).value().body.AsNodeClaim();
  };
  CHECK(read().kind == "NodePool");
  CHECK(read().replicas == 2);
  for (const Json& odd : {Json(nullptr), Json("2"), Json(-1), Json(2.5)}) {
    pool["spec"]["replicas"] = odd;
    CHECK(read().replicas == 0);
  }
}
