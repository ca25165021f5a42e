// tests/contract/kube_process.h - a real Kubernetes API server with its etcd, for tests.
#pragma once
#include <memory>
#include <string>

#include "agents/cluster/kube_cluster.h"
#include "tests/support/servers.h"

namespace kairo::test {
// The folder with kube-apiserver and etcd: KAIRO_KUBE_BIN, or where deploy/setup/kube.sh puts them;
// "" = there is none.
std::string kube_binaries();
// No controllers, no scheduler, no nodes. TLS with a certificate of its own, which the client
// checks. Users: "test", who may do all, by token; "reader", who may nothing, by token; "person",
// who may do all, by client certificate.
class KubeProcess {
 public:
  explicit KubeProcess(std::string binaries);  // throws when it is not ready within a minute
  ~KubeProcess();
  cluster::KubeConfig config() const;  // of "test"
  static const char* reader_token();
  std::string client_certificate() const;  // of "person": the folder of client.crt and client.key

 private:
  bool is_ready() const;
  const std::string binaries_;
  TempDir dir_;
  int port_ = 0;
  std::unique_ptr<Child> etcd_, server_;  // in this order: the server ends first
};
// deploy/crds; returns when Workspaces are served.
void install_workspaces(cluster::Cluster& cluster);
}  // namespace kairo::test
