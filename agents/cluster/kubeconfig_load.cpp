// agents/cluster/kubeconfig_load.cpp - the files, the environment, a pod's service account.
#include <filesystem>
#include <fstream>
#include <sstream>

#include "agents/cluster/kubeconfig.h"
#include "agents/cluster/proxy.h"

namespace kairo::cluster {
namespace {
namespace fs = std::filesystem;
constexpr std::size_t kubeconfig_bytes_max = 3 << 20;

Result<std::string> read_kubeconfig(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kubeconfig_bytes_max + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (!file.is_open() || file.bad() || fs::is_directory(path))
    return Error{Code::invalid, "kubeconfig " + path + ": cannot be read"};
  if (text.size() > kubeconfig_bytes_max)
    return Error{Code::invalid, "kubeconfig " + path + ": larger than " +
                                    std::to_string(kubeconfig_bytes_max) + " bytes"};
  return text;
}
}  // namespace

Result<Target> load_kubeconfig(const std::string& named, const std::string& context,
                               const Environment& env) {
  std::string list = named.empty() ? env("KUBECONFIG") : named;
  if (list.empty()) list = env("HOME") + "/.kube/config";
  std::vector<std::string> paths;
  std::istringstream parts(list);
  for (std::string path; std::getline(parts, path, ':');)
    if (!path.empty()) paths.push_back(path);
  std::vector<KubeconfigFile> files;
  std::error_code error;
  for (const std::string& path : paths) {
    if (!fs::exists(path, error)) continue;
    std::string text = TRY(read_kubeconfig(path));
    files.push_back({path, std::move(text)});
  }
  if (files.empty())
    return Error{Code::invalid, "no kubeconfig: " + list +
                                    " is not there; name one with KUBECONFIG or --kubeconfig"};
  Target out = TRY(resolve_kubeconfig(files, context));
  if (out.config.proxy.empty()) out.config.proxy = proxy_of(out.config.base_url, env);
  return out;
}

Result<Target> in_cluster(const Environment& env, const std::string& folder) {
  std::string host = env("KUBERNETES_SERVICE_HOST");
  const std::string port = env("KUBERNETES_SERVICE_PORT");
  if (host.empty() || port.empty())
    return Error{Code::invalid,
                 "this is no pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set; "
                 "name a kubeconfig"};
  if (host.find(':') != std::string::npos) host = "[" + host + "]";
  Target out;
  out.context = "in-cluster";
  out.config.base_url = "https://" + host + ":" + port;
  out.config.token_file = folder + "/token";
  out.config.ca_file = folder + "/ca.crt";
  out.config.proxy = proxy_of(out.config.base_url, env);
  std::ifstream(folder + "/namespace") >> out.ns;
  return out;
}
}  // namespace kairo::cluster
