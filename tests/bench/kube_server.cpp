// tests/bench/kube_server.cpp - a real Kubernetes API server for tests/bench/kube.py.
// usage: kube_server; prints "URL TOKEN_FILE CA_FILE" when Workspaces are served, ends with its
// standard input. Without the server's programs it says so and exits with 77.
#include <cstdio>
#include <iostream>
#include <string>

#include "tests/contract/kube_process.h"

int main() {
  const std::string binaries = kairo::test::kube_binaries();
  if (binaries.empty()) {
    std::fputs("no kube-apiserver and etcd; deploy/setup/kube.sh builds them\n", stderr);
    return 77;
  }
  kairo::test::KubeProcess process(binaries);
  const kairo::cluster::KubeConfig config = process.config();
  kairo::cluster::KubeCluster cluster(config);
  kairo::test::install_workspaces(cluster);
  std::printf("%s %s %s\n", config.base_url.c_str(), config.token_file.c_str(),
              config.ca_file.c_str());
  std::fflush(stdout);
  std::string line;
  while (std::getline(std::cin, line)) {
  }
  return 0;
}
