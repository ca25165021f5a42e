// What this proves: of kubeconfig files one gets the server and the identity that kubectl gets, or
// a text that names file, entry, field and remedy, and no secret.
#include "agents/cluster/kubeconfig.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "agents/cluster/proxy.h"
#include "tests/support/servers.h"

using namespace kairo;
using namespace kairo::cluster;
namespace {
std::string config_of(const std::string& cluster, const std::string& user,
                      const std::string& context = "cluster: c, user: u, namespace: team") {
  return "apiVersion: v1\nkind: Config\ncurrent-context: x\nclusters:\n- name: c\n  cluster: {" +
         cluster + "}\nusers:\n- name: u\n  user: {" + user +
         "}\ncontexts:\n- name: x\n  context: {" + context + "}\n";
}
const std::string server = "server: 'https://h:6443/'";
Environment environment(const std::map<std::string, std::string>& values) {
  return [values](const std::string& name) {
    const auto found = values.find(name);
    return found == values.end() ? "" : found->second;
  };
}
}  // namespace

TEST_CASE("a context: server, certificates, identity, namespace") {
  const std::string plugin =
      "exec: {apiVersion: client.authentication.k8s.io/v1, command: bin/who, args: [a, b], env: "
      "[{name: WHO, value: v}], interactiveMode: Never, provideClusterInfo: true, installHint: get "
      "it}";
  const auto read = resolve_kubeconfig(
      {{"/etc/k/config",
        config_of(server + ", certificate-authority: pki/ca.crt, tls-server-name: inner, "
                           "proxy-url: 'socks5://p:1', extensions: [{name: "
                           "client.authentication.k8s.io/exec, extension: {audience: a}}]",
                  plugin)}},
      "");
  REQUIRE(read.ok());
  const Target& t = read.value();
  CHECK(t.context == "x");
  CHECK(t.ns == "team");
  CHECK(t.config.base_url == "https://h:6443");
  CHECK(t.config.ca_file == "/etc/k/pki/ca.crt");
  CHECK(t.config.server_name == "inner");
  CHECK(t.config.proxy == "socks5://p:1");
  REQUIRE(t.config.exec);
  CHECK(t.config.exec->command == "/etc/k/bin/who");
  CHECK(t.config.exec->args == std::vector<std::string>{"a", "b"});
  CHECK(t.config.exec->env.front().second == "v");
  CHECK(t.config.exec->cluster_extra == R"({"audience":"a"})");
  CHECK(t.config.exec->install_hint == "get it");

  const auto data = resolve_kubeconfig(
      {{"f",
        config_of(server + ", certificate-authority-data: Y2E=, certificate-authority: no",
                  "client-certificate-data: Y2VydA==, client-key-data: a2V5, client-key: no")}},
      "x");
  REQUIRE(data.ok());
  CHECK(data.value().config.ca_pem == "ca");
  CHECK(data.value().config.ca_file == "");
  CHECK(data.value().config.cert_pem == "cert");
  CHECK(data.value().config.key_pem == "key");
  CHECK(data.value().config.key_file == "");

  const auto files = resolve_kubeconfig(
      {{"/k/f", config_of(server, "tokenFile: t, client-certificate: /c, client-key: ../y")}}, "x");
  REQUIRE(files.ok());
  CHECK(files.value().config.token_file == "/k/t");
  CHECK(files.value().config.cert_file == "/c");
  CHECK(files.value().config.key_file == "/y");
  CHECK(resolve_kubeconfig({{"f", config_of(server, "", "cluster: c")}}, "x").ok());
  const auto token = resolve_kubeconfig({{"f", config_of(server, "token: s3cret, " + plugin)}}, "");
  CHECK(token.value().config.token == "s3cret");
  CHECK_FALSE(token.value().config.exec);  // as kubectl: the token comes first
}

TEST_CASE("several files: the first that has a name counts") {
  const std::string one = "current-context: b\nusers: [{name: u, user: {token: one}}]\n";
  const std::string two =
      "current-context: a\nclusters: [{name: c, cluster: {server: 'https://h'}}]\n"
      "users: [{name: u, user: {token: two}}, {name: v, user: {token: v}}]\n"
      "contexts: [{name: a, context: {cluster: c, user: v}}, {name: b, context: {cluster: c, user: "
      "u}}]\n";
  CHECK(resolve_kubeconfig({{"1", one}, {"2", two}}, "").value().config.token == "one");
  CHECK(resolve_kubeconfig({{"1", one}, {"2", two}}, "a").value().config.token == "v");
  CHECK(resolve_kubeconfig({{"2", two}, {"1", one}}, "b").value().config.token == "two");
  CHECK(resolve_kubeconfig({{"2", two}, {"1", ""}}, "").value().context == "a");
}

TEST_CASE("what cannot be used is named, without its secrets") {
  struct Row {
    std::string text, context, says;
  };
  const std::string exec = "apiVersion: client.authentication.k8s.io/v1, command: p";
  const std::vector<Row> rows{
      {"", "", "kubeconfig : no current-context; name one (there is none)"},
      {"contexts: [{name: a, context: {}}, {name: b, context: {}}]", "",
       "kubeconfig f: no current-context; name one (there are a, b)"},
      {config_of(server, ""), "prod", "kubeconfig f: no context \"prod\"; there are x"},
      {"users: 7", "", "kubeconfig f: users is no list"},
      {"a: 1\n---\nb: 2", "", "kubeconfig f: not one YAML map"},
      {config_of(server, "", "cluster: d"), "",
       "kubeconfig f: context \"x\": no cluster \"d\" is there; correct its cluster"},
      {config_of(server, "", "cluster: c, user: w"), "",
       "kubeconfig f: context \"x\": no user \"w\" is there; correct its user"},
      {config_of("server: h", ""), "",
       "kubeconfig f: cluster \"c\": server is \"h\"; use https://HOST:PORT"},
      {config_of(server + ", certificate-authority-data: '*'", ""), "",
       "kubeconfig f: cluster \"c\": certificate-authority-data is not base64"},
      {config_of(server + ", certificate-authority: a, insecure-skip-tls-verify: true", ""), "",
       "kubeconfig f: cluster \"c\": insecure-skip-tls-verify and a certificate-authority; leave "
       "one out"},
      {config_of(server + ", insecure-skip-tls-verify: maybe", ""), "",
       "kubeconfig f: cluster \"c\": insecure-skip-tls-verify is neither true nor false"},
      {config_of(server + ", proxy-url: 'ftp://u:pw@p'", ""), "",
       "kubeconfig f: cluster \"c\": proxy-url begins with none of http://, https://, socks5://"},
      {config_of(server, "username: a, password: s3cret"), "",
       "kubeconfig f: user \"u\": has username and password, which API servers have not taken "
       "since "
       "Kubernetes 1.19; use a token, a client certificate or an exec plugin"},
      {config_of(server, "auth-provider: {name: gcp}"), "",
       "kubeconfig f: user \"u\": has an auth-provider, which Kubernetes 1.26 dropped; use its "
       "exec "
       "plugin"},
      {config_of(server, "token: s3cret, as: admin"), "",
       "kubeconfig f: user \"u\": has as: kairo does not impersonate; use a user with the rights "
       "that are meant"},
      {config_of(server, "token: 12345678"), "",
       "kubeconfig f: user \"u\": token is no text; put it in quotes"},
      {config_of(server, "token: \"a\\nb\""), "",
       "kubeconfig f: user \"u\": token has a line break"},
      {config_of(server, "client-certificate: c"), "",
       "kubeconfig f: user \"u\": has client-certificate and no client-key"},
      {config_of(server, "client-key-data: a2V5"), "",
       "kubeconfig f: user \"u\": has client-key and no client-certificate"},
      {config_of(server, "client-key-data: s3cret!"), "",
       "kubeconfig f: user \"u\": client-key-data is not base64"},
      {config_of(server, "exec: {apiVersion: client.authentication.k8s.io/v1alpha1}"), "",
       "kubeconfig f: user \"u\": exec.apiVersion is \"client.authentication.k8s.io/v1alpha1\"; "
       "use "
       "client.authentication.k8s.io/v1 or client.authentication.k8s.io/v1beta1"},
      {config_of(server, "exec: {apiVersion: client.authentication.k8s.io/v1}"), "",
       "kubeconfig f: user \"u\": exec.command is empty; name the plugin's program"},
      {config_of(server, "exec: {" + exec + "}"), "",
       "kubeconfig f: user \"u\": exec.interactiveMode is \"\"; use Never, IfAvailable or Always"},
      {config_of(server, "exec: {" + exec + ", interactiveMode: Never, args: [1]}"), "",
       "kubeconfig f: user \"u\": exec.args has one that is no text"},
      {config_of(server, "exec: {" + exec + ", interactiveMode: Never, env: [{value: s3cret}]}"),
       "", "kubeconfig f: user \"u\": exec.env has one without a name"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const auto read = resolve_kubeconfig({{"f", row.text}}, row.context);
    REQUIRE_FALSE(read.ok());
    CHECK(read.error().code == Code::invalid);
    CHECK(read.error().what == row.says);
    CHECK(read.error().what.find("s3cret") == std::string::npos);
  }
  CHECK(resolve_kubeconfig({{"f", "a: ["}}, "").error().what.starts_with("kubeconfig f:"));
}

TEST_CASE("which files, and a pod's own account") {
  const test::TempDir dir;
  const std::string file = dir.path + "/one";
  std::ofstream(file) << config_of(server, "token: t");
  CHECK(load_kubeconfig(file, "", environment({})).value().config.token == "t");
  CHECK(load_kubeconfig("", "", environment({{"KUBECONFIG", dir.path + "/none:" + file}})).ok());
  CHECK(load_kubeconfig("", "", environment({{"HOME", "/nowhere"}})).error().what ==
        "no kubeconfig: /nowhere/.kube/config is not there; name one with KUBECONFIG or "
        "--kubeconfig");
  CHECK(load_kubeconfig(dir.path, "", environment({})).error().what ==
        "kubeconfig " + dir.path + ": cannot be read");
  CHECK(load_kubeconfig(file, "", environment({{"HTTPS_PROXY", "p:3128"}})).value().config.proxy ==
        "http://p:3128");

  CHECK(in_cluster(environment({})).error().what ==
        "this is no pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set; name a "
        "kubeconfig");
  std::ofstream(dir.path + "/namespace") << "kairo-system\n";
  const Environment pod =
      environment({{"KUBERNETES_SERVICE_HOST", "fd00::1"}, {"KUBERNETES_SERVICE_PORT", "443"}});
  const auto inside = in_cluster(pod, dir.path);
  REQUIRE(inside.ok());
  CHECK(inside.value().config.base_url == "https://[fd00::1]:443");
  CHECK(inside.value().config.token_file == dir.path + "/token");
  CHECK(inside.value().config.ca_file == dir.path + "/ca.crt");
  CHECK(inside.value().ns == "kairo-system");
}

TEST_CASE("proxies of the environment, as Go reads them") {
  struct Row {
    std::string url, no_proxy, proxy;
  };
  const std::vector<Row> rows{
      {"https://api.example.com:6443", "", "http://s:1"},
      {"http://api.example.com", "", "http://h:2"},
      {"https://localhost:6443", "", ""},
      {"https://127.0.0.7", "", ""},
      {"https://[::1]:1", "", ""},
      {"https://api.example.com", "*", ""},
      {"https://api.example.com", " a.b , EXAMPLE.com", ""},
      {"https://api.example.com", ".example.com", ""},
      {"https://example.com", ".example.com", "http://s:1"},
      {"https://notexample.com", "example.com", "http://s:1"},
      {"https://api.example.com:6443", "example.com:6443", ""},
      {"https://api.example.com", "example.com:6443", "http://s:1"},
      {"https://10.96.0.1", "10.96.0.0/12", ""},
      {"https://10.112.0.1", "10.96.0.0/12", "http://s:1"},
      {"https://10.96.0.1", "10.96.0.1", ""},
      {"https://[fd00::1]:443", "fd00::/8", ""},
      {"https://10.0.0.1", "fd00::/8,/,x/y,10.0.0.0/99", "http://s:1"},
      {"nonsense", "", ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.url);
    CAPTURE(row.no_proxy);
    CHECK(proxy_of(row.url, environment({{"HTTPS_PROXY", "s:1"},
                                         {"http_proxy", "http://h:2"},
                                         {"NO_PROXY", row.no_proxy}})) == row.proxy);
  }
}
