// agents/web/viewers.h - in a cluster: whose token it is, and what they may, as the API server
// says. Each answer holds for a minute.
#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "agents/cluster/cluster.h"
#include "agents/web/guard.h"
#include "schemas/base/clock.h"

namespace kairo::web {
// What a path of the API shows: the right that its viewer needs in the cluster. Pure.
struct Need {
  std::string verb, group, resource, subresource;
  std::string ns;  // "" = all
};
Need need_of(const std::string& path);

class Viewers {  // thread-safe
 public:
  Viewers(cluster::Cluster& cluster, const Clock& clock) : cluster_(cluster), clock_(clock) {}
  // 401: the API server does not know the token; 403: they may not; 503: it was not to be asked.
  Refusal refusal(const std::string& token, const Need& need);

 private:
  struct Known {
    Refusal refusal;
    std::int64_t until_ms;
  };
  Refusal ask(const std::string& token, const Need& need);
  cluster::Cluster& cluster_;
  const Clock& clock_;
  std::mutex mutex_;
  std::map<std::string, Known> known_;  // by digest of token and need
};
}  // namespace kairo::web
