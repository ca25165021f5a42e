// agents/node/hub_token.cpp - Secret -> HF_TOKEN, .dockerconfigjson.
#include "agents/node/hub_token.h"

#include <nlohmann/json.hpp>

#include "agents/cluster/kinds.h"
#include "schemas/base/base64.h"

namespace kairo::node {
namespace {
// "" = it has no such key.
Result<std::string> value_of(cluster::Cluster& cluster, const cluster::Ref& secret,
                             const std::string& key, const std::string& which,
                             const std::string& how_to_make) {
  const auto object = cluster.get(secret);
  if (!object.ok() && object.error().code == Code::not_found)
    return Error{Code::not_found, which + " is not there; make it with: " + how_to_make};
  if (!object.ok())
    return Error{object.error().code, which + " cannot be read (" + object.error().what +
                                          "); may kairo's node agent get it by its name?"};
  const auto json = nlohmann::json::parse(object.value(), nullptr, false);
  const nlohmann::json::json_pointer at("/data/" + key);
  if (!json.is_object() || !json.contains(at) || !json.at(at).is_string()) return std::string();
  return base64_decode(json.at(at).get<std::string>());
}
}  // namespace

Result<std::string> hub_token(cluster::Cluster& cluster, const std::string& ns,
                              const std::string& secret) {
  const std::string which =
      "Secret '" + secret + "' of modelAccessSecret in namespace '" + ns + "'";
  std::string token =
      TRY(value_of(cluster, {cluster::secrets, ns, secret}, "HF_TOKEN", which,
                   "kubectl create secret generic " + secret + " --from-literal=HF_TOKEN=..."));
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r' || token.back() == ' '))
    token.pop_back();
  const bool is_plain = token.find_first_of("\r\n ") == std::string::npos;  // it goes into a header
  if (!token.empty() && is_plain) return token;
  return Error{Code::not_found, which + " has no token under the key HF_TOKEN"};
}

Result<std::string> pull_config(cluster::Cluster& cluster, const std::string& ns,
                                const std::string& secret, const std::string& field) {
  const std::string which = "Secret '" + secret + "' of " + field + " in namespace '" + ns + "'";
  const std::string how = "kubectl create secret docker-registry " + secret +
                          " --docker-server=... --docker-username=... --docker-password=...";
  std::string text =
      TRY(value_of(cluster, {cluster::secrets, ns, secret}, ".dockerconfigjson", which, how));
  if (!text.empty()) return text;
  return Error{Code::not_found, which + " has no key .dockerconfigjson; make it with: " + how};
}
}  // namespace kairo::node
