// agents/cluster/config_map.h - a ConfigMap that a Workspace's field `config` names.
#pragma once
#include "agents/cluster/kinds.h"

namespace kairo::cluster {
// Its JSON. not_found in KAITO's words.
inline Result<std::string> named_config_map(Cluster& cluster, const std::string& ns,
                                            const std::string& name) {
  auto map = cluster.get({config_maps, ns, name});
  if (map.ok() || map.error().code != Code::not_found) return map;
  return Error{Code::not_found, "ConfigMap '" + name +
                                    "' specified in 'config' not found in namespace '" + ns + "'"};
}
}  // namespace kairo::cluster
