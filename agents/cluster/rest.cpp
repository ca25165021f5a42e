// agents/cluster/rest.cpp - paths, percent-encoded.
#include "agents/cluster/rest.h"

#include "agents/cluster/http.h"

namespace kairo::cluster {
std::string collection_path(const Kind& kind, const std::string& ns) {
  std::string out =
      kind.group.empty() ? "/api/" + kind.version : "/apis/" + kind.group + "/" + kind.version;
  if (kind.namespaced && !ns.empty()) out += "/namespaces/" + percent_encoded(ns);
  return out + "/" + kind.plural;
}
std::string object_path(const Ref& ref, const std::string& subresource) {
  const std::string path = collection_path(ref.kind, ref.ns) + "/" + percent_encoded(ref.name);
  return subresource.empty() ? path : path + "/" + subresource;
}
}  // namespace kairo::cluster
