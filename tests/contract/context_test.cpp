// What this proves: the commands that people type work on the cluster that their kubeconfig names,
// by --context, by environment and as a plugin of the real kubectl.
#include <doctest/doctest.h>
#include <httplib.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "agents/cluster/kinds.h"
#include "agents/cluster/kube_cluster.h"
#include "tests/contract/kube_process.h"

using namespace kairo;
using namespace kairo::cluster;
namespace {
using Json = nlohmann::json;

struct Said {
  std::string out, err;
  int code = 0;
};
std::string text_in(const std::string& path) {
  std::ostringstream out;
  out << std::ifstream(path).rdbuf();
  return out.str();
}
class Place {  // an API server with Workspaces, and a kubeconfig of two contexts
 public:
  Place() : process(test::kube_binaries()), cluster(process.config()) {
    test::install_workspaces(cluster);
    const KubeConfig server = process.config();
    const auto context = [](const char* name, const char* ns) {
      return Json{{"name", name},
                  {"context", {{"cluster", "c"}, {"user", "u"}, {"namespace", ns}}}};
    };
    const Json config = {
        {"current-context", "own"},
        {"clusters",
         {{{"name", "c"},
           {"cluster", {{"server", server.base_url}, {"certificate-authority", server.ca_file}}}}}},
        {"users", {{{"name", "u"}, {"user", {{"tokenFile", server.token_file}}}}}},
        {"contexts", {context("own", "team"), context("all", "default")}}};
    std::ofstream(dir.path + "/config") << config.dump();
    CHECK(cluster
              .apply({{{"", "v1", "namespaces", "Namespace", false}, "", "team"},
                      R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"team"}})",
                      "m",
                      ""})
              .ok());
  }
  Said run(const std::string& line, const std::string& env = "") const {
    const std::string at = dir.path + "/";
    const std::string all =
        env + " HOME=" + dir.path + " KUBECONFIG=" + at +
        "config PATH=" + std::filesystem::path(KAIRO_PROGRAM).parent_path().string() +
        ":$PATH timeout 60 " + line + " >" + at + "out 2>" + at + "err </dev/null";
    const int status = std::system(all.c_str());  // NOLINT(concurrency-mt-unsafe)
    return {text_in(at + "out"), text_in(at + "err"), WEXITSTATUS(status)};
  }
  test::TempDir dir;
  test::KubeProcess process;
  KubeCluster cluster;
};
Place* place() {
  if (test::kube_binaries().empty()) {
    MESSAGE("SKIP no kube-apiserver and etcd: deploy/setup/kube.sh builds them, or KAIRO_KUBE_BIN");
    return nullptr;
  }
  static Place only;
  return &only;
}
const std::string workspace = R"(apiVersion: kaito.sh/v1beta1
kind: Workspace
metadata: {name: pip}
resource: {instanceType: Standard_NC24ads_A100_v4, labelSelector: {matchLabels: {apps: pip}}}
inference: {preset: {name: phi-4-mini-instruct}}
)";
void patch_status(Place& p, const Json& status) {
  const auto done =
      p.cluster.patch({{workspaces, "team", "pip"}, Json{{"status", status}}.dump(), "status"});
  REQUIRE_MESSAGE(done.ok(), (done.ok() ? "" : done.error().what));
}
Json condition(const std::string& type, const std::string& message) {
  return {{"type", type},
          {"status", "True"},
          {"reason", "r"},
          {"message", message},
          {"lastTransitionTime", "2026-01-01T00:00:00Z"}};
}
}  // namespace

TEST_CASE("kairo --context: apply, get, describe, events, wait, logs") {
  Place* p = place();
  if (p == nullptr) return;
  std::ofstream(p->dir.path + "/w.yaml") << workspace;
  const Said applied = p->run("kairo apply -f " + p->dir.path + "/w.yaml --context own");
  CHECK(applied.err == "");
  CHECK(applied.out == "workspace.kaito.sh/pip created\n");
  const auto object = p->cluster.get({workspaces, "team", "pip"});
  REQUIRE(object.ok());  // in the context's own namespace
  const std::string uid = Json::parse(object.value())["metadata"]["uid"];
  const Json event = {
      {"apiVersion", "v1"},
      {"kind", "Event"},
      {"metadata", {{"name", "pip.1"}, {"namespace", "team"}}},
      {"type", "Warning"},
      {"reason", "NoCapacity"},
      {"message", "none left"},
      {"lastTimestamp", "2026-01-01T00:00:00Z"},
      {"involvedObject",
       {{"kind", "Workspace"}, {"namespace", "team"}, {"name", "pip"}, {"uid", uid}}}};
  REQUIRE(p->cluster.create({{events, "team", "pip.1"}, event.dump(), "m", ""}).ok());

  CHECK(p->run("kairo get workspaces -o name --context own").out == "workspaces/pip\n");
  CHECK(p->run("kairo get workspaces -o name", "KAIRO_CONTEXT=own").out == "workspaces/pip\n");
  CHECK(p->run("kairo get ws -o name --context all").out == "");
  CHECK(p->run("kairo get ws -o name --context all -n team").out == "workspaces/pip\n");
  CHECK(p->run("kairo get ws -o name --mode kubeconfig").out == "workspaces/pip\n");
  CHECK(p->run("kairo get ws --context none").err ==
        "error: kubeconfig " + p->dir.path + "/config: no context \"none\"; there are own, all\n");
  CHECK(
      p->run("kairo get ws").err ==
      "error: kairo is not running (~/.local/share/kairo); start it with `kairo up -d`, or name a "
      "cluster of your kubeconfig with --context\n");
  CHECK(p->run("kairo events pip --context own").out.find("none left") != std::string::npos);
  const std::string described = p->run("kairo describe ws pip --context own").out;
  CHECK(described.find("NoCapacity") != std::string::npos);
  CHECK(p->run("kairo logs pip --context own").err.find("has no pod yet, so no log") !=
        std::string::npos);

  CHECK(p->run("kairo wait pip --timeout 1 --context own").code == 1);
  patch_status(*p,
               {{"state", "Failed"}, {"conditions", {condition("WorkspaceSucceeded", "spilt")}}});
  CHECK(
      p->run("kairo wait pip --context own").err.ends_with("error: workspace pip failed: spilt\n"));
  patch_status(*p, {{"state", "Ready"}});
  CHECK(p->run("kairo wait pip --context own").code == 0);
}

TEST_CASE("kubectl kairo") {
  Place* p = place();
  if (p == nullptr) return;
  std::string kubectl = test::kube_binaries() + "/kubectl";
  if (!std::filesystem::exists(kubectl)) kubectl = "kubectl";
  if (!test::have_program(kubectl)) {
    MESSAGE("SKIP no kubectl: deploy/setup/kube.sh builds it");
    return;
  }
  const Json made = {{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"metadata", {{"name", "mine"}}}};
  REQUIRE(p->cluster.apply({{config_maps, "team", "mine"}, made.dump(), "m", ""}).ok());
  const Said listed = p->run(kubectl + " kairo get configmaps -o name");  // the current context
  CHECK(listed.err == "");
  CHECK(listed.out == "configmaps/mine\n");
  CHECK(p->run(kubectl + " kairo get configmaps -o name --context all").out == "");
  CHECK(p->run(kubectl + " plugin list").out.find("/kubectl-kairo") != std::string::npos);
}

TEST_CASE("chat goes through the API server to the Service") {
  Place* p = place();
  if (p == nullptr) return;
  p->run("hostname -I");
  std::istringstream words(text_in(p->dir.path + "/out"));
  std::string address;
  words >> address;
  if (address.empty()) {
    MESSAGE("SKIP this machine has no address but loopback, which no Endpoints may have");
    return;
  }
  httplib::Server model;
  model.Post("/v1/chat/completions", [](const httplib::Request& req, httplib::Response& res) {
    const std::string asked = Json::parse(req.body)["messages"][0]["content"];
    if (asked == "no") {
      res.status = 400;
      return res.set_content(R"({"error":{"message":"say yes"}})", "application/json");
    }
    res.set_content(Json{{"choices", {{{"message", {{"content", "echo " + asked}}}}}}}.dump(),
                    "application/json");
  });
  const int port = model.bind_to_any_port("0.0.0.0");
  std::thread serving([&] { model.listen_after_bind(); });
  std::ofstream(p->dir.path + "/w.yaml") << workspace;
  p->run("kairo apply -f " + p->dir.path + "/w.yaml --context own");
  patch_status(*p, {{"state", "Ready"}, {"conditions", {condition("InferenceReady", "")}}});
  const Json ports = {{{"name", "http"}, {"port", port}}};
  const Kind endpoints{"", "v1", "endpoints", "Endpoints", true};
  const Json target = {{"kind", "Pod"}, {"namespace", "team"}, {"name", "pip"}};
  for (const auto& [kind, object] : std::vector<std::pair<Kind, Json>>{
           {services,
            {{"apiVersion", "v1"},
             {"kind", "Service"},
             {"metadata", {{"name", "pip"}}},
             {"spec", {{"ports", {{{"name", "http"}, {"port", 80}, {"targetPort", port}}}}}}}},
           {pods,
            {{"apiVersion", "v1"},
             {"kind", "Pod"},
             {"metadata", {{"name", "pip"}}},
             {"spec", {{"containers", {{{"name", "c"}, {"image", "i"}}}}}}}},
           {endpoints,
            {{"apiVersion", "v1"},
             {"kind", "Endpoints"},
             {"metadata", {{"name", "pip"}}},
             {"subsets",
              {{{"addresses", {{{"ip", address}, {"targetRef", target}}}}, {"ports", ports}}}}}}}) {
    const auto applied = p->cluster.apply({{kind, "team", "pip"}, object.dump(), "m", ""});
    REQUIRE_MESSAGE(applied.ok(), (applied.ok() ? "" : applied.error().what));
  }
  const Json ips = {{{"ip", address}}};  // the API server proxies to pods only
  REQUIRE(p->cluster
              .patch({{pods, "team", "pip"},
                      Json{{"status", {{"podIP", address}, {"podIPs", ips}}}}.dump(),
                      "status"})
              .ok());
  const Said answer = p->run("kairo chat pip hello --context own");
  CHECK(answer.err == "");
  CHECK(answer.out == "echo hello\n");
  CHECK(p->run("kairo chat pip no --context own").err ==
        "error: /v1/chat/completions answered 400: say yes\n");
  model.stop();
  serving.join();
  CHECK(p->run("kairo chat pip hello --context own").err.find("answered 503") != std::string::npos);
}

TEST_CASE("an agent on a kubeconfig's cluster, told by flags, environment and file") {
  Place* p = place();
  if (p == nullptr) return;
  if (!test::have_program("nats-server")) {
    MESSAGE("SKIP: nats-server is not installed");
    return;
  }
  const test::TempDir dir;
  const int bus = test::free_port(), health = test::free_port();
  std::ofstream(dir.path + "/nats.conf")
      << "host: 127.0.0.1\nport: " << bus << "\njetstream { store_dir: \"" << dir.path
      << "/js\" }\nauthorization { user: watcher, password: s3cret }\n";
  const test::Child broker({"nats-server", "-c", dir.path + "/nats.conf"}, dir.path + "/nats.log");
  REQUIRE(test::wait_for_port(bus, 10'000));
  std::ofstream(dir.path + "/kairo.yaml")
      << "context: all\nlease-namespace: kube-system\nbus-url: nats://127.0.0.1:" << bus
      << "\nhealth-address: 127.0.0.1:" << health << "\n";
  const std::string log = dir.path + "/log";
  {
    const test::Child agent(
        {"/usr/bin/env", "KUBECONFIG=" + p->dir.path + "/config", "KAIRO_BUS_PASSWORD=s3cret",
         "KAIRO_LEASE_NAMESPACE=team", "KAIRO_CONTEXT=none", KAIRO_PROGRAM, "agent", "watcher",
         "--config", dir.path + "/kairo.yaml", "--context", "own", "--state-dir",
         dir.path + "/state"},
        log);
    httplib::Client client("127.0.0.1", health);
    std::string ready;
    for (int i = 0; i < 300 && ready != "ok\n"; ++i) {
      const auto reply = client.Get("/readyz");
      ready = reply ? reply->body : "no answer";
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    CHECK_MESSAGE(ready == "ok\n", text_in(log));
    CHECK(p->cluster.get({leases, "team", "kairo-watcher"}).ok());
  }
  const std::string said = text_in(log);
  CHECK(said.find("lease-namespace team (KAIRO_LEASE_NAMESPACE)") != std::string::npos);
  CHECK(said.find("context own (--context)") != std::string::npos);
  CHECK(said.find("bus-password <hidden> (KAIRO_BUS_PASSWORD)") != std::string::npos);
  CHECK(said.find("bus-url nats://127.0.0.1:" + std::to_string(bus) + " (" + dir.path +
                  "/kairo.yaml:3)") != std::string::npos);
  CHECK(said.find("s3cret") == std::string::npos);
}
