// agents/node/hub_token.cpp - Secret -> HF_TOKEN.
#include "agents/node/hub_token.h"

#include <nlohmann/json.hpp>

#include "agents/cluster/kinds.h"
#include "schemas/base/base64.h"

namespace kairo::node {
Result<std::string> hub_token(cluster::Cluster& cluster, const std::string& ns,
                              const std::string& secret) {
  const std::string which =
      "Secret '" + secret + "' of modelAccessSecret in namespace '" + ns + "'";
  const auto object = cluster.get({cluster::secrets, ns, secret});
  if (!object.ok() && object.error().code == Code::not_found)
    return Error{Code::not_found, which +
                                      " is not there; make it with: kubectl create secret "
                                      "generic " +
                                      secret + " --from-literal=HF_TOKEN=..."};
  if (!object.ok())
    return Error{object.error().code, which + " cannot be read (" + object.error().what +
                                          "); may kairo's node agent get it by its name?"};
  const auto json = nlohmann::json::parse(object.value(), nullptr, false);
  const nlohmann::json::json_pointer at("/data/HF_TOKEN");
  std::string token;
  if (json.is_object() && json.contains(at) && json.at(at).is_string())
    token = TRY(base64_decode(json.at(at).get<std::string>()));
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r' || token.back() == ' '))
    token.pop_back();
  const bool is_plain = token.find_first_of("\r\n ") == std::string::npos;  // it goes into a header
  if (!token.empty() && is_plain) return token;
  return Error{Code::not_found, which + " has no token under the key HF_TOKEN"};
}
}  // namespace kairo::node
