// agents/cli/servers.h - configurations of the servers that `kairo up` starts. Pure text.
#pragma once
#include <map>
#include <string>

#include "agents/bus/names.h"

namespace kairo::cli {
struct NatsPlan {
  int port;
  std::string store_dir;
  std::map<std::string, std::string> passwords;  // user -> password
  bus::Names names;
};
// One user per agent with the rights that it needs; `admin` reads everything for people.
std::string nats_config(const NatsPlan& plan);
// docker-registry on loopback, file storage, basic authentication by an htpasswd file.
struct RegistryPlan {
  int port;
  std::string store_dir, htpasswd;
  std::string http_secret;  // signs upload locations: the same after a restart
};
std::string registry_config(const RegistryPlan& plan);
// "user:<bcrypt>", what docker-registry reads.
std::string htpasswd_line(const std::string& user, const std::string& password);
// The dockerconfigjson text for one registry.
std::string docker_config(const std::string& registry, const std::string& user,
                          const std::string& password);
}  // namespace kairo::cli
