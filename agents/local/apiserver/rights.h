// agents/local/apiserver/rights.h - who may do what in the local cluster: bearer tokens and their
// rights.
//
// The file has one line per user: `token name rights`, rights separated by commas:
//   admin              everything
//   read               get, list, watch of everything except Secrets; logs of pods
//   secrets            get, list, watch of Secrets
//   write:<resource>   create, change, delete, e.g. write:jobs or write:workspaces/status
// Private to cluster/, standard_rights excepted.
#pragma once
#include <map>
#include <set>
#include <string>

#include "schemas/base/result.h"

namespace kairo::cluster {
struct User {
  std::string name;
  std::set<std::string> rights;
  bool may_read(const std::string& plural) const;
  bool may_write(const std::string& plural, const std::string& subresource) const;
};
class Users {
 public:
  // invalid: a malformed line, an unknown right, a file that others may read (0600 is asked for).
  static Result<Users> load(const std::string& path);
  static Result<Users> parse(const std::string& text);
  // By the value of an Authorization header; null: nobody.
  const User* find(const std::string& authorization) const;

 private:
  std::map<std::string, User> by_digest_;  // of the token: tokens themselves are not kept
};
// What an agent needs: "watcher", "provisioner", "launcher", "node", "pusher"; "cli" is admin; any
// other name only reads.
std::string standard_rights(const std::string& agent);
}  // namespace kairo::cluster
