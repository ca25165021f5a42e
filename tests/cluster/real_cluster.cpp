// tests/cluster/real_cluster.cpp
#include "tests/cluster/real_cluster.h"

#include <doctest/doctest.h>

#include <chrono>
#include <stdexcept>
#include <thread>

#include "tests/contract/kube_process.h"

namespace kairo::test {
void wait_for_definition(KubeApi& api) {
  for (int i = 0; i < 300; ++i, std::this_thread::sleep_for(std::chrono::milliseconds(100)))
    if (api.get(workspaces_path("v1beta1")).ok() && api.get(workspaces_path("v1alpha1")).ok())
      return;
  throw std::runtime_error("Workspaces are not served");
}

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
    wait_for_definition(*out);
    return out;
  }();
  return api.get();
}
}  // namespace kairo::test
