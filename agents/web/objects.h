// agents/web/objects.h - what is asked of the API server for one view: an object, its events, its
// log, where its server answers.
#pragma once
#include <cstdint>
#include <string>

#include "agents/cluster/cluster.h"
#include "schemas/base/result.h"

namespace kairo::web {
struct Which {
  std::string ns, name;
};
struct LogPlace {
  std::string pod, container;  // "" = the newest pod, its main container
  std::uint64_t offset = 0;    // of that container's log; another one begins at 0
};
// JSON texts.
Result<std::string> object_of(cluster::Cluster& cluster, const Which& which);
Result<std::string> uid_of(cluster::Cluster& cluster, const Which& which);
Result<std::string> events_of(cluster::Cluster& cluster, const Which& which);
Result<std::string> log_of(cluster::Cluster& cluster, const Which& which, const LogPlace& place);
// "http://host:port" of an inference Workspace. invalid: it serves nothing; unavailable: not yet.
Result<std::string> server_of(cluster::Cluster& cluster, const Which& which, bool is_local);
}  // namespace kairo::web
