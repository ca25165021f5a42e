// What this proves: on a real API server one is whom a kubeconfig says, by certificate, by token,
// by plugin, through a proxy; what others replace is seen; first lists come as streams.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "agents/cluster/kinds.h"
#include "agents/cluster/kube_cluster.h"
#include "agents/cluster/kubeconfig.h"
#include "tests/contract/cluster_contract.h"
#include "tests/contract/kube_process.h"
#include "tests/support/tcp_relay.h"

using namespace kairo;
using namespace kairo::cluster;
namespace {
using Json = nlohmann::json;
const Environment no_environment = [](const std::string&) { return std::string(); };

const test::KubeProcess* real() {
  if (test::kube_binaries().empty()) {
    MESSAGE("SKIP no kube-apiserver and etcd: deploy/setup/kube.sh builds them, or KAIRO_KUBE_BIN");
    return nullptr;
  }
  static const test::KubeProcess process(test::kube_binaries());
  return &process;
}
std::string text_in(const std::string& path) {
  std::ostringstream out;
  out << std::ifstream(path).rdbuf();
  return out.str();
}
// A kubeconfig file in `dir` with one context; what load_kubeconfig makes of it.
KubeConfig through_file(const test::TempDir& dir, const Json& user, const Json& more = {}) {
  const KubeConfig server = real()->config();
  Json cluster = {{"server", server.base_url}, {"certificate-authority", server.ca_file}};
  cluster.update(more.is_null() ? Json::object() : more);
  const Json config = {
      {"current-context", "x"},
      {"clusters", {{{"name", "c"}, {"cluster", cluster}}}},
      {"users", {{{"name", "u"}, {"user", user}}}},
      {"contexts", {{{"name", "x"}, {"context", {{"cluster", "c"}, {"user", "u"}}}}}}};
  std::ofstream(dir.path + "/config") << config.dump();
  const auto target = load_kubeconfig(dir.path + "/config", "", no_environment);
  REQUIRE_MESSAGE(target.ok(), (target.ok() ? "" : target.error().what));
  return target.value().config;
}
// Whom the server takes one for; else what it says.
std::string who(KubeCluster& cluster) {
  const Kind reviews{"authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview",
                     false};
  const auto answer =
      cluster.create({{reviews, "", ""},
                      R"({"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"})",
                      "m",
                      ""});
  if (!answer.ok()) return answer.error().what;
  return Json::parse(answer.value()).value(Json::json_pointer("/status/userInfo/username"), "");
}
Apply config_map(const std::string& name) {
  return {{config_maps, "default", name},
          R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":")" + name + "\"}}",
          "m",
          ""};
}
Json plugin(const test::TempDir& dir, const std::string& status) {
  const std::string file = dir.path + "/who";
  std::ofstream(file) << "#!/bin/sh\necho run >>\"$0.runs\"\nsed \"s/NOW/$(date -u -d '-1 second' "
                         "+%Y-%m-%dT%H:%M:%SZ)/\" \"$0.says\"\n";
  chmod(file.c_str(), S_IRWXU);
  std::ofstream(file + ".says")
      << R"({"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":)"
      << status << "}";
  return {{"exec",
           {{"apiVersion", "client.authentication.k8s.io/v1"},
            {"command", "./who"},
            {"interactiveMode", "Never"}}}};
}
}  // namespace

TEST_CASE("the contract, by a client certificate of a kubeconfig, with lists as streams") {
  if (real() == nullptr) return;
  const test::TempDir dir;
  const std::string keys = real()->client_certificate();
  KubeConfig config = through_file(
      dir, {{"client-certificate", keys + "/client.crt"}, {"client-key", keys + "/client.key"}});
  config.streams_lists = true;
  KubeCluster cluster(config);
  CHECK(who(cluster) == "person");
  test::install_workspaces(cluster);
  test::cluster_contract(cluster, {10'000, true, false});
}

TEST_CASE("a token file that is replaced while it runs; a watch too") {
  if (real() == nullptr) return;
  const test::TempDir dir;
  std::ofstream(dir.path + "/token") << "yesterday's\n";
  KubeCluster cluster(through_file(dir, {{"tokenFile", "token"}}));
  CHECK(who(cluster) == "create SelfSubjectReview : Unauthorized; the token was not accepted");
  CHECK_FALSE(cluster.watch({config_maps, "", ""}, "1", 1000).ok());
  std::ofstream(dir.path + "/token") << text_in(real()->config().token_file);
  CHECK(who(cluster) == "test");
  const auto listed = cluster.list({config_maps, "", ""});
  REQUIRE(listed.ok());
  CHECK(cluster.watch({config_maps, "", ""}, listed.value().resource_version, 50).ok());
  std::ofstream(dir.path + "/token") << test::KubeProcess::reader_token();
  CHECK(KubeCluster(through_file(dir, {{"tokenFile", "token"}}))
            .list({config_maps, "", ""})
            .error()
            .what.starts_with("list configmaps: configmaps is forbidden: User \"reader\" cannot"));
}

TEST_CASE("an exec plugin: its token, its certificate, again when its word has expired") {
  if (real() == nullptr) return;
  const test::TempDir dir;
  const std::string token = text_in(real()->config().token_file);
  const Json says = {{"token", token.substr(0, token.find('\n'))}};
  KubeCluster cluster(through_file(dir, plugin(dir, says.dump())));
  CHECK(who(cluster) == "test");
  CHECK(who(cluster) == "test");
  CHECK(text_in(dir.path + "/who.runs") == "run\n");

  const std::string keys = real()->client_certificate();
  const Json certificate = {{"clientCertificateData", text_in(keys + "/client.crt")},
                            {"clientKeyData", text_in(keys + "/client.key")},
                            {"expirationTimestamp", "NOW"}};
  KubeCluster short_lived(through_file(dir, plugin(dir, certificate.dump())));
  CHECK(who(short_lived) == "person");
  CHECK(who(short_lived) == "person");
  CHECK(text_in(dir.path + "/who.runs") == "run\nrun\nrun\n");

  KubeCluster refused(through_file(dir, plugin(dir, R"({"token":"other"})")));
  CHECK(who(refused) == "create SelfSubjectReview : Unauthorized; the token was not accepted");
  CHECK(text_in(dir.path + "/who.runs") == "run\nrun\nrun\nrun\nrun\n");  // once more after the 401
}

TEST_CASE("certificates: of another name, of nobody known, not looked at; through a proxy") {
  if (real() == nullptr) return;
  const test::TempDir dir;
  const Json user = {{"tokenFile", real()->config().token_file}};
  KubeCluster named(through_file(dir, user, {{"tls-server-name", "kubernetes.default.svc"}}));
  CHECK(who(named) == "test");
  KubeCluster wrong_name(through_file(dir, user, {{"tls-server-name", "elsewhere.example"}}));
  CHECK(who(wrong_name).find("SSL") != std::string::npos);
  const std::string other_ca = real()->client_certificate() + "/ca.crt";
  KubeCluster unknown(through_file(dir, user, {{"certificate-authority", other_ca}}));
  CHECK(who(unknown).find("SSL") != std::string::npos);
  KubeCluster trusting(through_file(
      dir, user, {{"certificate-authority", nullptr}, {"insecure-skip-tls-verify", true}}));
  CHECK(who(trusting) == "test");

  test::TcpRelay proxy(0);
  KubeCluster behind(
      through_file(dir, user, {{"proxy-url", "http://127.0.0.1:" + std::to_string(proxy.port())}}));
  CHECK(who(behind) == "test");
  CHECK(proxy.connections() == 1);
}

TEST_CASE("in a pod: its service account's files") {
  if (real() == nullptr) return;
  const test::TempDir dir;
  const KubeConfig server = real()->config();
  std::ofstream(dir.path + "/token") << text_in(server.token_file);
  std::ofstream(dir.path + "/ca.crt") << text_in(server.ca_file);
  const std::string port = server.base_url.substr(server.base_url.rfind(':') + 1);
  const auto inside = in_cluster(
      [&](const std::string& name) {
        if (name == "KUBERNETES_SERVICE_HOST") return std::string("127.0.0.1");
        return name == "KUBERNETES_SERVICE_PORT" ? port : std::string();
      },
      dir.path);
  REQUIRE(inside.ok());
  KubeCluster cluster(inside.value().config);
  CHECK(who(cluster) == "test");
}

TEST_CASE("WatchList: the same list, and its stream goes on as the watch") {
  if (real() == nullptr) return;
  KubeConfig config = real()->config();
  KubeCluster plain(config);
  const auto made = plain.apply(config_map("w1"));
  REQUIRE_MESSAGE(made.ok(), (made.ok() ? "" : made.error().what));
  config.streams_lists = true;
  test::TcpRelay relay(std::stoi(config.base_url.substr(config.base_url.rfind(':') + 1)));
  config.base_url = "https://127.0.0.1:" + std::to_string(relay.port());
  KubeCluster streaming(config);
  const Selection all{config_maps, "", ""};
  const auto streamed = streaming.list(all), listed = plain.list(all);
  REQUIRE(streamed.ok());
  CHECK(streamed.value().items == listed.value().items);
  CHECK(relay.connections() == 1);
  REQUIRE(plain.apply(config_map("w2")).ok());
  const auto came = streaming.watch(all, streamed.value().resource_version, 5000);
  REQUIRE(came.ok());
  REQUIRE(came.value().size() == 1);
  CHECK(came.value()[0].object.find("\"name\":\"w2\"") != std::string::npos);
  CHECK(relay.connections() == 1);  // no list of pages, no second watch
}
