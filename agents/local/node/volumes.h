// agents/local/node/volumes.h - a pod's volumes as folders of the host. Private to local/.
#pragma once
#include <map>
#include <optional>
#include <string>

#include "agents/cluster/cluster.h"
#include "agents/cluster/json.h"

namespace kairo::cluster {
// A key of a Secret (decoded) or ConfigMap of the namespace; nullopt: absent.
std::optional<std::string> value_of(Cluster& cluster, bool is_secret, const std::string& ns,
                                    const std::string& name, const std::string& key);
// Makes and fills what the pod's volumes need below `dir` (files 0600); volume name -> folder.
// emptyDir, hostPath, configMap, secret, projected, persistentVolumeClaim. not_found: an object is
// absent or a claim is not bound yet. invalid: a kind of volume that this machine has not.
// unavailable: the disk.
Result<std::map<std::string, std::string>> prepare_volumes(Cluster& cluster, const Json& pod,
                                                           const std::string& dir);
// Binds claims to volumes: one of ours below `volumes_dir`, or the one that the claim names; takes
// away ours when their claim has gone. True: something changed.
Result<bool> tend_claims(Cluster& cluster, const std::string& volumes_dir);
}  // namespace kairo::cluster
