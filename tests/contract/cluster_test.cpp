// What this proves: MemoryCluster and KubeCluster (against the local cluster's process) keep the
// promises of cluster.h; the local cluster survives kill -9 with all that it answered.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "agents/cluster/kinds.h"
#include "agents/cluster/kube_cluster.h"
#include "agents/cluster/memory_cluster.h"
#include "tests/contract/cluster_contract.h"
#include "tests/support/servers.h"

using namespace kairo;
using namespace kairo::cluster;
namespace {
const SystemClock system_clock;
const std::string token = "0123456789abcdef0123456789abcdef";

void write_file(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
  REQUIRE(chmod(path.c_str(), 0600) == 0);
}
class LocalProcess {  // tests/agents/cluster/local_cluster_main.cpp on a free port
 public:
  LocalProcess() {
    write_file(dir_.path + "/tokens", token + " cli admin\n" + token + "2 reader read\n");
    write_file(dir_.path + "/token", token + "\n");
    write_file(dir_.path + "/reader", token + "2\n");
    start();
  }
  void start() {
    std::filesystem::remove(dir_.path + "/port");
    child_ = std::make_unique<test::Child>(std::vector<std::string>{KAIRO_LOCAL_PROGRAM, dir_.path},
                                           dir_.path + "/log");
    for (int i = 0; i < 500 && port_ == 0; ++i) {
      std::ifstream(dir_.path + "/port") >> port_;
      if (port_ == 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    REQUIRE(port_ > 0);
  }
  void kill_hard() {
    child_->kill_hard();
    port_ = 0;
  }
  KubeConfig config(const std::string& user = "token") const {
    return {"http://127.0.0.1:" + std::to_string(port_), dir_.path + "/" + user, ""};
  }

 private:
  test::TempDir dir_;
  std::unique_ptr<test::Child> child_;
  int port_ = 0;
};
Apply config_map(const std::string& name) {
  return {{config_maps, "default", name},
          R"({"apiVersion":"v1","kind":"ConfigMap","data":{"k":"v"}})",
          "m",
          ""};
}
}  // namespace

TEST_CASE("MemoryCluster keeps the contract") {
  MemoryCluster cluster(system_clock, "seed");
  test::cluster_contract(cluster, 1000);
}

TEST_CASE("KubeCluster keeps the contract on the local cluster's process") {
  LocalProcess process;
  KubeCluster cluster(process.config());
  test::cluster_contract(cluster, 10'000);
}

TEST_CASE("rights: who only reads cannot write, and sees no Secret; a stranger sees nothing") {
  LocalProcess process;
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
  LocalProcess process;
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
  CHECK(old.error().code == Code::not_found);
}

TEST_CASE("a server that is not there: unavailable, soon") {
  KubeCluster cluster({"http://127.0.0.1:" + std::to_string(test::free_port()), "", ""});
  CHECK(cluster.get({config_maps, "default", "a"}).error().code == Code::unavailable);
  CHECK(cluster.watch({config_maps, "", ""}, "1", 1000).error().code == Code::unavailable);
}
