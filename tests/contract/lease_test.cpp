// What this proves: of several processes of a role one acts, whatever the lease is made of; the
// next one follows soon after its end, in a higher term.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "agents/cluster/kinds.h"
#include "agents/kube_lease.h"
#include "agents/local/apiserver/memory_cluster.h"
#include "agents/runtime/file_lease.h"
#include "tests/contract/kube_process.h"
#include "tests/support/fake_clock.h"

using namespace kairo;
namespace {
struct Role {  // whose lease several processes ask for
  virtual ~Role() = default;
  virtual std::unique_ptr<runtime::Lease> process() = 0;
  test::FakeClock clock;
};
struct FileRole final : Role {
  test::TempDir dir;
  std::string file() const { return dir.path + "/launcher.lease"; }
  std::unique_ptr<runtime::Lease> process() override {
    auto lease = runtime::open_file_lease(file());
    REQUIRE(lease.ok());
    return std::move(lease).value();
  }
};
struct KubeRole final : Role {
  explicit KubeRole(cluster::Cluster& in, const std::string& n = "kairo-launcher")
      : cluster(in), name(n) {}
  cluster::Cluster& cluster;
  const std::string name;
  int processes = 0;
  std::unique_ptr<runtime::Lease> process() override {
    return make_kube_lease(cluster, clock, {"default", name, "p" + std::to_string(++processes)});
  }
  nlohmann::json object() const {
    return nlohmann::json::parse(cluster.get({cluster::leases, "default", name}).value());
  }
};
struct MemoryRole {
  test::FakeClock clock;
  cluster::MemoryCluster cluster{clock, "seed"};
  KubeRole role{cluster};
};
void claims(runtime::Lease& lease, bool is_ours, std::uint64_t term) {
  const auto claim = lease.claim();
  REQUIRE(claim.ok());
  CHECK(claim.value().is_ours == is_ours);
  CHECK(claim.value().term == term);
}

void contract(Role& role) {
  auto first = role.process(), second = role.process();
  claims(*first, true, 1);
  claims(*second, false, 1);
  // Never while its holder renews it, whatever the wall clocks say.
  for (int i = 0; i < 10; ++i) {
    role.clock.advance(runtime::lease_renew_ms);
    role.clock.jump(i % 2 == 0 ? 3'600'000 : -3'600'000);
    claims(*first, true, 1);
    claims(*second, false, 1);
  }
  REQUIRE(first->release().ok());  // a clean end
  claims(*second, true, 2);
  claims(*first, false, 2);
  claims(*second, true, 2);
  second.reset();  // a sudden one
  role.clock.advance(runtime::lease_ms);
  claims(*first, true, 3);
  REQUIRE(first->release().ok());
  claims(*first, true, 4);  // a term of its own
  auto third = role.process();
  claims(*third, false, 4);
}
}  // namespace

TEST_CASE("a file's lock keeps the contract") {
  FileRole role;
  contract(role);
}
TEST_CASE("a Lease object keeps the contract") {
  MemoryRole memory;
  contract(memory.role);
}
TEST_CASE("a Lease object keeps the contract on a real Kubernetes API server") {
  const std::string bin = test::kube_binaries();
  if (bin.empty()) {
    MESSAGE("SKIP no kube-apiserver and etcd: deploy/setup/kube.sh builds them, or KAIRO_KUBE_BIN");
    return;
  }
  test::KubeProcess process(bin);
  cluster::KubeCluster cluster(process.config());
  KubeRole role(cluster);
  contract(role);
  KubeRole other(cluster, "kairo-watcher");  // a role of its own
  claims(*other.process(), true, 1);
}
TEST_CASE("lease: a kill -9 frees the file's lock") {
  FileRole role;
  int ready[2];
  REQUIRE(pipe(ready) == 0);
  const pid_t child = fork();
  if (child == 0) {
    const auto lease = runtime::open_file_lease(role.file());
    const bool has_it = lease.ok() && lease.value()->claim().value().is_ours;
    if (write(ready[1], has_it ? "y" : "n", 1) == 1) pause();
    _exit(0);
  }
  char answer = 0;
  REQUIRE(read(ready[0], &answer, 1) == 1);
  REQUIRE(answer == 'y');
  auto standby = role.process();
  claims(*standby, false, 1);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  claims(*standby, true, 2);
  close(ready[0]);
  close(ready[1]);
}
TEST_CASE("lease: a file that was removed is nobody's lock any more; one that cannot be made") {
  FileRole role;
  auto first = role.process();
  claims(*first, true, 1);
  std::filesystem::remove(role.file());
  claims(*first, false, 1);
  const auto none = runtime::open_file_lease(role.dir.path + "/no/such.lease");
  REQUIRE_FALSE(none.ok());
  CHECK(none.error().code == Code::invalid);
  CHECK(none.error().what.find("/no/such.lease: No such file or directory") != std::string::npos);
}
TEST_CASE("lease: a Lease object that somebody removed is made again, and is nobody's until then") {
  MemoryRole memory;
  auto first = memory.role.process();
  claims(*first, true, 1);
  REQUIRE(first->release().ok());
  claims(*first, true, 2);
  REQUIRE(memory.cluster.remove({cluster::leases, "default", "kairo-launcher"}, "").ok());
  claims(*first, true, 1);  // another term than before: it was lost
}
TEST_CASE("lease: what a person reads in the object; what somebody else wrote there") {
  MemoryRole memory;
  auto first = memory.role.process(), second = memory.role.process();
  claims(*first, true, 1);
  nlohmann::json spec = memory.role.object()["spec"];
  CHECK(spec["holderIdentity"] == "p1");
  CHECK(spec["leaseDurationSeconds"] == 2);
  CHECK(spec["renewTime"] == "2025-11-24T16:00:00.000000Z");
  CHECK(spec["acquireTime"] == "2025-11-24T16:00:00.000000Z");
  for (const char* odd :
       {R"({"spec":{"holderIdentity":7,"leaseTransitions":"many"}})",
        R"({"spec":{"leaseTransitions":-1,"holderIdentity":null}})", R"({"spec":null})",
        R"({"spec":{"leaseTransitions":2147483647,"holderIdentity":null}})"}) {
    REQUIRE(memory.cluster.patch({{cluster::leases, "default", "kairo-launcher"}, odd, ""}).ok());
    claims(*second, true, 1);  // nobody's that can be read
    claims(*first, false, 1);
    REQUIRE(second->release().ok());
  }
}
