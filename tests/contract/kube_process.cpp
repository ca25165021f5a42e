// tests/contract/kube_process.cpp - etcd, then the API server, then its word that it is ready.
#include "tests/contract/kube_process.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "agents/cluster/kinds.h"
#include "schemas/yaml/yaml.h"

namespace kairo::test {
namespace fs = std::filesystem;
namespace {
using namespace std::chrono_literals;
constexpr const char* version = "v1.34.3";  // as in deploy/setup/kube.sh
constexpr const char* token = "contract-token";

std::string environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets any
  return value != nullptr ? value : "";
}
std::string url(int port) {
  return "http://127.0.0.1:" + std::to_string(port);
}
}  // namespace

std::string kube_binaries() {
  std::string folder = environment("KAIRO_KUBE_BIN");
  if (folder.empty()) {
    const std::string cache = environment("KAIRO_CACHE");
    folder = (cache.empty() ? environment("HOME") + "/.cache/kairo" : cache) + "/kube/" + version;
  }
  return fs::exists(folder + "/kube-apiserver") && fs::exists(folder + "/etcd") ? folder : "";
}

KubeProcess::KubeProcess(std::string binaries) : binaries_(std::move(binaries)) {
  const auto in = [&](const char* name) { return dir_.path + "/" + name; };
  const std::string key = in("sa.key"), log = in("log");
  std::ofstream(in("tokens.csv")) << token << ",test,1,\"system:masters\"\n"
                                  << reader_token() << ",reader,2\n";
  std::ofstream(in("token")) << token << "\n";
  const std::string keys =
      "cd '" + dir_.path +
      "' && (openssl genrsa -out sa.key 2048 && E='-newkey ec -pkeyopt ec_paramgen_curve:P-256 "
      "-nodes' && openssl req -x509 $E -keyout ca.key -out ca.crt -subj /CN=ca -days 2 && "
      "openssl req $E -keyout client.key -out client.csr -subj /O=system:masters/CN=person && "
      "openssl x509 -req -in client.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 "
      "-out client.crt) >'" +
      log + "' 2>&1";
  if (std::system(keys.c_str()) != 0)  // NOLINT(concurrency-mt-unsafe)
    throw std::runtime_error("openssl cannot make keys");
  const int client = free_port(), peer = free_port();
  port_ = free_port();
  etcd_ = std::make_unique<Child>(
      std::vector<std::string>{binaries_ + "/etcd", "--data-dir", in("etcd"), "--log-level",
                               "error", "--unsafe-no-fsync", "--listen-client-urls", url(client),
                               "--advertise-client-urls", url(client), "--listen-peer-urls",
                               url(peer), "--initial-advertise-peer-urls", url(peer),
                               "--initial-cluster", "default=" + url(peer)},
      log);
  server_ = std::make_unique<Child>(
      std::vector<std::string>{
          binaries_ + "/kube-apiserver", "--etcd-servers=" + url(client),
          "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
          "--endpoint-reconciler-type=none", "--secure-port=" + std::to_string(port_),
          "--cert-dir=" + in("certs"), "--client-ca-file=" + in("ca.crt"),
          "--token-auth-file=" + in("tokens.csv"), "--authorization-mode=RBAC",
          "--service-cluster-ip-range=10.215.43.0/24", "--service-account-key-file=" + key,
          "--service-account-signing-key-file=" + key,
          "--service-account-issuer=https://kubernetes.default.svc",
          "--disable-admission-plugins=ServiceAccount"},
      log);
  for (int i = 0; i < 600; ++i, std::this_thread::sleep_for(100ms))
    if (is_ready()) return;
  std::ostringstream said;
  said << std::ifstream(log).rdbuf();
  throw std::runtime_error("the API server is not ready: " + said.str());
}
KubeProcess::~KubeProcess() {
  server_->kill_hard();  // it does not end by itself while watches are open
}
cluster::KubeConfig KubeProcess::config() const {
  return {"https://127.0.0.1:" + std::to_string(port_), dir_.path + "/token",
          dir_.path + "/certs/apiserver.crt"};
}
const char* KubeProcess::reader_token() {
  return "reader-token";
}
std::string KubeProcess::client_certificate() const {
  return dir_.path;
}
bool KubeProcess::is_ready() const {
  if (!fs::exists(dir_.path + "/certs/apiserver.crt")) return false;
  cluster::KubeCluster cluster(config());  // the last of what it prepares: the namespaces
  return cluster.get({{"", "v1", "namespaces", "Namespace", false}, "", "default"}).ok();
}

void install_workspaces(cluster::Cluster& cluster) {
  const cluster::Kind definitions{"apiextensions.k8s.io", "v1", "customresourcedefinitions",
                                  "CustomResourceDefinition", false};
  std::ostringstream text;
  text << std::ifstream(KAIRO_SOURCE_DIR "/deploy/crds/kaito.sh_workspaces.yaml").rdbuf();
  const auto read = yaml::read(text.str(), "kaito.sh_workspaces.yaml", yaml::Dialect::kubectl);
  if (!read.ok()) throw std::runtime_error(read.error().what);
  const auto applied = cluster.apply(
      {{definitions, "", "workspaces.kaito.sh"}, yaml::to_json(read.value().front()), "test", ""});
  if (!applied.ok()) throw std::runtime_error(applied.error().what);
  for (int i = 0; i < 300; ++i, std::this_thread::sleep_for(100ms))
    if (cluster.list({cluster::workspaces, "", ""}).ok()) return;
  throw std::runtime_error("Workspaces are not served");
}
}  // namespace kairo::test
