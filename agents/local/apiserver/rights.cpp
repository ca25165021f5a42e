// agents/local/apiserver/rights.cpp - the tokens file and the table of the agents' needs.
#include "agents/local/apiserver/rights.h"

#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "agents/cluster/kinds.h"
#include "schemas/base/digest.h"

namespace kairo::cluster {
namespace {
constexpr std::size_t users_max = 1000, token_chars_min = 16;

bool is_right(const std::string& right) {
  if (right == "admin" || right == "read" || right == "secrets") return true;
  if (!right.starts_with("write:")) return false;
  std::string plural = right.substr(6);
  if (plural.ends_with("/status")) plural.resize(plural.size() - 7);
  for (const Kind& kind : all_kinds)
    if (kind.plural == plural) return true;
  return false;
}
}  // namespace

bool User::may_read(const std::string& plural) const {
  return rights.contains("admin") || rights.contains(plural == "secrets" ? "secrets" : "read");
}
bool User::may_write(const std::string& plural, const std::string& subresource) const {
  const std::string right = "write:" + plural + (subresource.empty() ? "" : "/" + subresource);
  return rights.contains("admin") || rights.contains(right);
}

Result<Users> Users::parse(const std::string& text) {
  Users out;
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    const std::string where = "tokens file line " + std::to_string(number) + ": ";
    std::istringstream words(line);
    std::string token, name, rights, extra;
    if (!(words >> token) || token.starts_with("#")) continue;
    if (!(words >> name >> rights) || words >> extra)
      return Error{Code::invalid, where + "want `token name rights`"};
    if (token.size() < token_chars_min)
      return Error{Code::invalid, where + "the token of " + name + " is shorter than " +
                                      std::to_string(token_chars_min) + " characters"};
    User user{name, {}};
    std::istringstream parts(rights);
    for (std::string right; std::getline(parts, right, ',');) {
      if (!is_right(right))
        return Error{Code::invalid, where + "unknown right \"" + right +
                                        "\"; want admin, read, secrets or write:<resource>"};
      user.rights.insert(right);
    }
    if (!out.by_digest_.emplace(sha256_hex(token), std::move(user)).second)
      return Error{Code::invalid, where + "two users have the same token"};
    if (out.by_digest_.size() > users_max) return Error{Code::invalid, where + "too many users"};
  }
  if (out.by_digest_.empty()) return Error{Code::invalid, "tokens file: it has no user"};
  return out;
}

Result<Users> Users::load(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0)
    return Error{Code::invalid, "tokens file " + path + ": cannot be read"};
  if ((info.st_mode & 077) != 0)
    return Error{Code::invalid, "tokens file " + path + ": others may read it; chmod 600 it"};
  std::ifstream file(path);
  std::ostringstream content;
  content << file.rdbuf();
  return parse(content.str());
}

const User* Users::find(const std::string& authorization) const {
  const std::string scheme = "Bearer ";
  if (!authorization.starts_with(scheme)) return nullptr;
  const auto found = by_digest_.find(sha256_hex(authorization.substr(scheme.size())));
  return found == by_digest_.end() ? nullptr : &found->second;
}

std::string standard_rights(const std::string& agent) {
  struct Row {
    const char *agent, *rights;
  };
  static constexpr Row rows[] = {
      {"cli", "admin"},
      {"watcher",
       "read,write:workspaces,write:workspaces/status,write:controllerrevisions,write:events,"
       "write:leases"},
      {"provisioner", "read,write:nodeclaims,write:nodes,write:events,write:leases"},
      {"launcher",
       "read,secrets,write:jobs,write:statefulsets,write:services,write:configmaps,"
       "write:persistentvolumes,write:persistentvolumeclaims,write:events,write:leases"},
      {"node", "read,secrets,write:nodes,write:nodes/status,write:events"},
      {"pusher", "read,secrets,write:events"},
      {"gateway", "read,write:workspaces,write:configmaps"},
  };
  for (const Row& row : rows)
    if (agent == row.agent) return row.rights;
  return "read";
}
}  // namespace kairo::cluster
