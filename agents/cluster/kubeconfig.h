// agents/cluster/kubeconfig.h - where a cluster is and whom one is there, as kubectl finds it: from
// kubeconfig files, or from what every pod has.
//
// Sources: kubernetes.io "Organizing Cluster Access Using kubeconfig Files", client-go 0.34
// tools/clientcmd. Errors are `invalid`, name file, entry and field, and hold no secret.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "agents/cluster/kube_config.h"
#include "schemas/base/result.h"

namespace kairo::cluster {
using Environment = std::function<std::string(const std::string& name)>;  // "" = not set
struct KubeconfigFile {
  std::string path, text;
};
struct Target {
  KubeConfig config;
  std::string context, ns;  // ns "" = the context names none
};
// Of several files the first that has a cluster, user or context of a name counts, and the first
// with a current-context. Relative paths begin at their file's folder. context "" = the current
// one. Refused, for kairo would act as somebody else without them: user name and password,
// auth-provider, impersonation. Pure.
Result<Target> resolve_kubeconfig(const std::vector<KubeconfigFile>& files,
                                  const std::string& context);
// `named`: files separated by ':'; "" = $KUBECONFIG, else ~/.kube/config. Of several those that are
// not there are left out. A context without a proxy-url has the environment's proxy (proxy.h).
Result<Target> load_kubeconfig(const std::string& named, const std::string& context,
                               const Environment& env);
// Of a pod's service account. invalid: this is no pod.
Result<Target> in_cluster(const Environment& env, const std::string& folder =
                                                      "/var/run/secrets/kubernetes.io/"
                                                      "serviceaccount");
}  // namespace kairo::cluster
