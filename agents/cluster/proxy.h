// agents/cluster/proxy.h - which proxy the environment names for a URL. Pure. Private to cluster/.
#pragma once
#include <string>

#include "agents/cluster/kubeconfig.h"

namespace kairo::cluster {
// As Go's golang.org/x/net/http/httpproxy decides: HTTPS_PROXY for https, HTTP_PROXY for http (or
// in small letters), unless NO_PROXY names the host (*, host, .domain, address, CIDR; with :port or
// without); localhost and loopback never. A proxy without a scheme is http. "" = none.
std::string proxy_of(const std::string& url, const Environment& env);
}  // namespace kairo::cluster
