// tests/cluster/real_cluster.cpp
#include "tests/cluster/real_cluster.h"

#include <doctest/doctest.h>

#include <chrono>
#include <stdexcept>
#include <thread>

#include "tests/contract/kube_process.h"

namespace kairo::test {
namespace {
template <class Test>
void wait_until(const char* what, const Test& test) {
  for (int i = 0; i < 300; ++i, std::this_thread::sleep_for(std::chrono::milliseconds(100)))
    if (test()) return;
  throw std::runtime_error(std::string("not yet: ") + what);
}
// The server begins to obey a definition or a policy a moment after it has taken it.
void wait_for_rules(KubeApi& api) {
  wait_until("Workspaces are served", [&] {
    return api.get(workspaces_path("v1beta1")).ok() && api.get(workspaces_path("v1alpha1")).ok();
  });
  const Json unknown = Json::parse(R"({"apiVersion": "kaito.sh/v1beta1", "kind": "Workspace",
    "metadata": {"name": "probe"}, "inference": {"preset": {"name": "no-such-model"}}})");
  wait_until("the policy acts", [&] {
    return !api.ask("POST", workspaces_path("v1beta1") + "?dryRun=All", unknown).ok();
  });
}
}  // namespace

namespace {
const KubeProcess& process() {
  static const KubeProcess running(kube_binaries());
  return running;
}
}  // namespace

cluster::KubeConfig real_config() {
  return process().config();
}
KubeApi* real_cluster() {
  if (kube_binaries().empty()) {
    MESSAGE("SKIP no kube-apiserver and etcd: deploy/setup/kube.sh builds them, or KAIRO_KUBE_BIN");
    return nullptr;
  }
  static const std::unique_ptr<KubeApi> api = [] {
    auto out = std::make_unique<KubeApi>(real_config());
    out->apply(
        {{{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", "kairo-system"}}}}});
    out->apply(documents("deploy/crds/kaito.sh_workspaces.yaml"));
    out->apply(documents("deploy/admission/kaito.sh_workspaces.yaml"));
    wait_for_rules(*out);
    return out;
  }();
  return api.get();
}
}  // namespace kairo::test
