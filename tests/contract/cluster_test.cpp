// What this proves: MemoryCluster and KubeCluster (against the local cluster's process) keep the
// promises of cluster.h; the local cluster survives kill -9 with all that it answered.
#include <doctest/doctest.h>

#include "agents/cluster/kinds.h"
#include "agents/cluster/kube_cluster.h"
#include "agents/local/apiserver/memory_cluster.h"
#include "tests/agents/local/local_process.h"
#include "tests/contract/cluster_contract.h"
#include "tests/contract/kube_process.h"

using namespace kairo;
using namespace kairo::cluster;
namespace {
const SystemClock system_clock;
Apply config_map(const std::string& name) {
  return {{config_maps, "default", name},
          R"({"apiVersion":"v1","kind":"ConfigMap","data":{"k":"v"}})",
          "m",
          ""};
}
}  // namespace

TEST_CASE("MemoryCluster keeps the contract") {
  MemoryCluster cluster(system_clock, "seed");
  test::cluster_contract(cluster, {1000, false, true});
}

TEST_CASE("KubeCluster keeps the contract on the local cluster's process") {
  test::LocalProcess process(KAIRO_LOCAL_PROGRAM);
  KubeCluster cluster(process.config());
  test::cluster_contract(cluster, {});
}

TEST_CASE("KubeCluster keeps the contract on a real Kubernetes API server") {
  const std::string bin = test::kube_binaries();
  if (bin.empty()) {
    MESSAGE("SKIP no kube-apiserver and etcd: deploy/setup/kube.sh builds them, or KAIRO_KUBE_BIN");
    return;
  }
  test::KubeProcess process(bin);
  KubeCluster cluster(process.config());
  test::install_workspaces(cluster);
  test::cluster_contract(cluster, {10'000, true, false});
}

TEST_CASE("rights: who only reads cannot write, and sees no Secret; a stranger sees nothing") {
  test::LocalProcess process(KAIRO_LOCAL_PROGRAM);
  KubeCluster reader(process.config("reader"));
  CHECK(reader.list({config_maps, "", ""}).ok());
  const auto written = reader.apply(config_map("a"));
  REQUIRE_FALSE(written.ok());
  CHECK(written.error().what.find("User \"reader\" cannot patch resource \"configmaps\"") !=
        std::string::npos);
  CHECK_FALSE(reader.list({secrets, "", ""}).ok());
  CHECK_FALSE(reader.watch({secrets, "", ""}, "0", 1000).ok());
  KubeConfig nobody = process.config();
  nobody.token_file.clear();
  const auto refused = KubeCluster(nobody).get({config_maps, "default", "a"});
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().what.find("Unauthorized") != std::string::npos);
  const std::string admitted = R"({"apiVersion":"kaito.sh/v1beta1","kind":"Workspace",
      "metadata":{"annotations":{"refuse":"yes"}}})";
  const auto denied =
      KubeCluster(process.config()).apply({{workspaces, "default", "w"}, admitted, "m", ""});
  REQUIRE_FALSE(denied.ok());
  CHECK(denied.error().code == Code::invalid);
  CHECK(denied.error().what.find("the test refuses it") != std::string::npos);
}

TEST_CASE("kill -9: what was answered is there, versions go on, old watches must list again") {
  test::LocalProcess process(KAIRO_LOCAL_PROGRAM);
  std::string version;
  {
    KubeCluster cluster(process.config());
    for (int i = 0; i < 50; ++i) REQUIRE(cluster.apply(config_map("c" + std::to_string(i))).ok());
    version = cluster.list({config_maps, "", ""}).value().resource_version;
  }
  process.kill_hard();
  process.start();
  KubeCluster cluster(process.config());
  const auto listing = cluster.list({config_maps, "", ""});
  REQUIRE(listing.ok());
  CHECK(listing.value().items.size() == 50);
  CHECK(std::stoull(listing.value().resource_version) >= std::stoull(version));
  const auto old = cluster.watch({config_maps, "", ""}, "3", 2000);
  REQUIRE_FALSE(old.ok());
  CHECK(old.error().code == Code::expired);
}

TEST_CASE("a server that is not there: unavailable, soon") {
  KubeCluster cluster({"http://127.0.0.1:" + std::to_string(test::free_port()), "", ""});
  CHECK(cluster.get({config_maps, "default", "a"}).error().code == Code::unavailable);
  CHECK(cluster.watch({config_maps, "", ""}, "1", 1000).error().code == Code::unavailable);
}
