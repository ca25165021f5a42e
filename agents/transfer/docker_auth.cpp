// agents/transfer/docker_auth.cpp - a superset of kubelet's, docker's and containers/image's rules.
#include "agents/transfer/docker_auth.h"

#include <fnmatch.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "agents/transfer/text.h"
#include "schemas/base/base64.h"

namespace kairo::transfer {
namespace {
using Json = nlohmann::json;
constexpr std::size_t config_bytes_max = 1 << 20;

struct Entry {
  std::string host, path;  // of the key: without scheme, "v1/" and "v2/"; path without slashes
  Credential credential;
  int rank = 0;  // smaller is better
};
std::string trimmed(std::string text) {
  while (!text.empty() && text.back() == '\0') text.pop_back();
  return text;
}
Result<Credential> read_credential(const Json& entry) {
  Credential out;
  out.username = string_at(entry, "username");
  out.password = string_at(entry, "password");
  out.identity_token = string_at(entry, "identitytoken");
  out.registry_token = string_at(entry, "registrytoken");
  const std::string auth = string_at(entry, "auth");
  if (auth.empty()) return out;
  const auto pair = base64_decode(auth);
  const std::size_t colon = pair.ok() ? pair.value().find(':') : std::string::npos;
  if (colon == std::string::npos)
    return Error{Code::invalid, "the docker config's \"auth\" is not base64 of user:password"};
  out.username = pair.value().substr(0, colon);
  out.password = trimmed(pair.value().substr(colon + 1));
  return out;
}
void split_key(const std::string& key, Entry& entry) {
  std::string_view rest = key;
  for (const std::string_view scheme : {"https://", "http://"})
    if (rest.starts_with(scheme)) rest.remove_prefix(scheme.size());
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  entry.host = rest.substr(0, slash);
  std::string_view path = rest.substr(slash);
  for (const std::string_view version : {"/v1/", "/v2/"})
    if (path.starts_with(version)) path.remove_prefix(version.size() - 1);
  if (path == "/v1" || path == "/v2") path = "";
  while (path.starts_with('/')) path.remove_prefix(1);
  while (path.ends_with('/')) path.remove_suffix(1);
  entry.path = path;
}
std::vector<std::string_view> labels_of(std::string_view host) {
  std::vector<std::string_view> out;
  for (std::size_t start = 0; start <= host.size();) {
    const std::size_t end = std::min(host.find('.', start), host.size());
    out.push_back(host.substr(start, end - start));
    start = end + 1;
  }
  return out;
}
std::string_view port_of(std::string_view host) {
  const std::size_t bracket = host.rfind(']');
  const std::size_t colon = host.rfind(':');
  if (colon == std::string_view::npos || (bracket != std::string_view::npos && colon < bracket))
    return {};
  return host.substr(colon + 1);
}
bool is_host_match(std::string_view pattern, std::string_view host) {
  const std::string_view port = port_of(pattern);
  if (port != port_of(host)) return false;
  if (!port.empty()) {
    pattern.remove_suffix(port.size() + 1);
    host.remove_suffix(port.size() + 1);
  }
  const auto wanted = labels_of(pattern), given = labels_of(host);
  if (wanted.size() != given.size()) return false;
  for (std::size_t i = 0; i < wanted.size(); ++i)
    if (fnmatch(std::string(wanted[i]).c_str(), std::string(given[i]).c_str(), 0) != 0)
      return false;
  return true;
}
bool is_docker_hub(std::string_view host) {
  return host == "docker.io" || host == "index.docker.io" || host == "registry-1.docker.io" ||
         host == "registry.hub.docker.com";
}
// 0: does not fit. The ranks are the order of docker_auth.h.
int rank_of(const Entry& entry, const Reference& reference) {
  const bool is_hub = reference.domain == "docker.io";
  const bool is_same_host = entry.host == reference.domain || (is_hub && is_docker_hub(entry.host));
  if (is_same_host && !entry.path.empty() &&
      (reference.repository == entry.path || reference.repository.starts_with(entry.path + "/")))
    return 1;
  if (entry.host == reference.domain && entry.path.empty()) return 2;
  if (is_host_match(entry.host, reference.domain) && reference.repository.starts_with(entry.path))
    return 3;
  if (is_same_host && entry.path.empty()) return 4;
  return 0;
}
}  // namespace

Result<std::vector<Credential>> credentials_for(const std::string& config,
                                                const Reference& reference) {
  std::vector<Credential> out;
  if (config.empty()) return out;
  const Error bad{Code::invalid,
                  "the Secret's docker config is not a JSON object of registries; make it with: "
                  "kubectl create secret docker-registry"};
  if (config.size() > config_bytes_max) return bad;
  const Json json = Json::parse(config, nullptr, false);
  if (!json.is_object()) return bad;
  const bool has_auths = json.contains("auths") || json.contains("credsStore") ||
                         json.contains("credHelpers") || json.contains("HttpHeaders");
  const Json auths = has_auths ? json.value("auths", Json::object()) : json;
  if (auths.is_null()) return out;
  if (!auths.is_object()) return bad;
  std::vector<Entry> entries;
  for (const auto& [key, value] : auths.items()) {
    if (!value.is_object()) continue;
    Entry entry;
    split_key(key, entry);
    entry.rank = rank_of(entry, reference);
    if (entry.rank == 0) continue;
    entry.credential = TRY(read_credential(value));
    const Credential& c = entry.credential;
    if (c.username.empty() && c.identity_token.empty() && c.registry_token.empty()) continue;
    entries.push_back(std::move(entry));
  }
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    if (a.rank != b.rank) return a.rank < b.rank;
    return a.host + "/" + a.path > b.host + "/" + b.path;  // kubelet: the longest first
  });
  for (Entry& entry : entries) out.push_back(std::move(entry.credential));
  return out;
}
}  // namespace kairo::transfer
