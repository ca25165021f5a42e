// agents/local/apiserver/routes.h - what a REST path names, and the documents that describe the
// interface. Pure. Private to apiserver/.
#pragma once
#include <optional>
#include <string>

#include "agents/cluster/cluster.h"

namespace kairo::cluster {
struct Route {
  Kind kind;
  std::string ns, name, subresource;  // name "": the collection
};
// nullopt: no resource that this server has. Subresources: status, log.
std::optional<Route> route_of(const std::string& path);
// The body of a discovery path (/version, /api, /apis, /api/v1, /apis/<group>/<version>); "" none.
std::string discovery(const std::string& path);
// metav1.Status of an error. `reason`: Kubernetes' word, e.g. "NotFound".
std::string status_json(int http_status, const std::string& reason, const std::string& message,
                        const Route* route);
struct Answer {
  int http_status;
  std::string reason;
};
Answer answer_of(const Error& error);  // an error of Objects, as the API server would put it
}  // namespace kairo::cluster
