// agents/cli/family.h - an object and what its controllers made for it.
#pragma once
#include <set>
#include <string>

#include "agents/cluster/cluster.h"

namespace kairo::cli {
class Family {  // one thread
 public:
  Family(cluster::Cluster& cluster, std::string ns, const std::string& uid);
  // Whether an Event's involvedObject belongs to it. By uid, not by name: pip is not pip-server.
  bool is_about(const std::string& event);

 private:
  void look();  // for members that were made since
  cluster::Cluster& cluster_;
  const std::string ns_;
  std::set<std::string> members_, strangers_;  // uids
};
}  // namespace kairo::cli
