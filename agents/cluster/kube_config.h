// agents/cluster/kube_config.h - how a Kubernetes API server is reached: its address, whom one is
// there, what its certificate must be. Where it comes from: kubeconfig.h.
#pragma once
#include <atomic>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kairo::cluster {
// A program that says who one is (client.authentication.k8s.io, v1 and v1beta1).
struct ExecPlugin {
  std::string api_version, command;
  std::vector<std::string> args;
  std::vector<std::pair<std::string, std::string>> env;  // added to this process' own
  std::string install_hint;  // what a person reads when the program is not there
  std::string mode =
      "IfAvailable";           // whether it may ask on the terminal: Never, IfAvailable, Always
  bool wants_cluster = false;  // it is told of the server too
  std::string cluster_extra;   // JSON for it, from the cluster's extensions; ""
};
struct KubeConfig {
  std::string base_url;                 // "https://10.0.0.1:443", "http://127.0.0.1:4711"
  std::string token_file;               // "" = none; read again while it runs, as all files here
  std::string ca_file;                  // PEM; "" = the system's certificates
  std::string token = {}, ca_pem = {};  // the same in memory; a file counts before it
  std::string cert_file = {}, key_file = {}, cert_pem = {},
              key_pem = {};      // of a client certificate
  bool is_insecure = false;      // any server certificate will do
  std::string server_name = {};  // the certificate's, when it is not the URL's
  std::string proxy = {};        // URL; "" = none, whatever the environment says
  std::optional<ExecPlugin> exec = {};
  // First lists come as a stream (WatchList) where the server has that, and its watch is kept: for
  // who watches everything that it lists.
  bool streams_lists = false;
  const std::atomic<bool>* stop = nullptr;  // ends the waiting for a busy server
};
}  // namespace kairo::cluster
