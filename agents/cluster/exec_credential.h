// agents/cluster/exec_credential.h - whom one is, said by a program: Kubernetes' exec credential
// plugins (client.authentication.k8s.io, v1 and v1beta1). Private to cluster/.
#pragma once
#include <cstdint>
#include <string>

#include "agents/cluster/kube_config.h"
#include "schemas/base/result.h"

namespace kairo::cluster {
struct ExecCredential {
  std::string token, cert, key;  // secrets; the latter two PEM
  std::int64_t expires_ms = 0;   // Unix time; 0 = it does not say
};
// What the program prints, an ExecCredential in JSON. invalid: it is none of this version. Nothing
// of what was printed is in the error: it holds secrets. Pure.
Result<ExecCredential> parse_exec_credential(const std::string& printed, const ExecPlugin& plugin);
// What the program reads in KUBERNETES_EXEC_INFO. `ca` in PEM. Pure.
std::string exec_info(const ExecPlugin& plugin, const KubeConfig& config, const std::string& ca,
                      bool is_interactive);
// Runs it: a minute at the longest (without limit where a person may be asked), 1 MiB of output;
// stderr is this process' own. invalid: there is no such program, or it must ask and there is no
// terminal. unavailable: it failed.
Result<std::string> run_exec_plugin(const ExecPlugin& plugin, const KubeConfig& config,
                                    const std::string& ca);
}  // namespace kairo::cluster
