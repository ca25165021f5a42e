// agents/web/guard.cpp - Host, token, origin.
#include "agents/web/guard.h"

#include <algorithm>

#include "schemas/base/digest.h"

namespace kairo::web {
namespace {
bool is_probe(const std::string& path) {  // a kubelet asks by the pod's address
  return path == "/healthz" || path == "/readyz" || path == "/metrics";
}
std::string name_of(const std::string& host) {
  if (host.starts_with('[')) return host.substr(0, host.find(']') + 1);
  return host.substr(0, host.find(':'));
}
}  // namespace

Guard::Guard(const std::string& token, std::vector<std::string> hosts)
    : digest_(token.empty() ? "" : sha256_hex(token)), hosts_(std::move(hosts)) {}

bool Guard::is_ours(const std::string& host) const {
  const std::string name = name_of(host);
  return name == "127.0.0.1" || name == "localhost" || name == "[::1]" ||
         std::find(hosts_.begin(), hosts_.end(), name) != hosts_.end();
}

// Digests are compared: how long that takes tells nothing about the token.
bool Guard::has_token(const std::string& authorization) const {
  const std::string scheme = "Bearer ";
  if (!authorization.starts_with(scheme) || authorization.size() == scheme.size()) return false;
  return digest_.empty() || sha256_hex(authorization.substr(scheme.size())) == digest_;
}

Refusal Guard::refusal(const Asked& asked) const {
  if (is_probe(asked.path)) return {};
  if (!is_ours(asked.host))
    return {421, "this is not " + name_of(asked.host) + "; ask by 127.0.0.1 or localhost\n"};
  if (!asked.path.starts_with("/api/")) return {};
  if (!has_token(asked.authorization))
    return {401, "This page needs its token: `kairo dashboard` opens it with one.\n"};
  if (asked.method == "GET" || asked.method == "HEAD") return {};
  const bool is_own_page = asked.fetch_site.empty() || asked.fetch_site == "same-origin";
  const bool is_own_origin = asked.origin.empty() || asked.origin == "http://" + asked.host ||
                             asked.origin == "https://" + asked.host;
  if (!is_own_page || !is_own_origin) return {403, "another page may not ask this\n"};
  return {};
}

const std::map<std::string, std::string>& Guard::headers() {
  static const std::map<std::string, std::string> all{
      {"Content-Security-Policy",
       "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
       "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
       "require-trusted-types-for 'script'; trusted-types 'none'"},
      {"X-Content-Type-Options", "nosniff"},
      {"Referrer-Policy", "no-referrer"},
      {"Cross-Origin-Opener-Policy", "same-origin"},
      {"Cross-Origin-Resource-Policy", "same-origin"}};
  return all;
}
}  // namespace kairo::web
