// agents/cli/home.h - the folder of a local kairo: where everything lies, and its secrets.
//
//   <home>/                 0700; $KAIRO_HOME, else ~/.local/share/kairo
//     secrets/<who>.token   bearer token for the local cluster     0600
//     secrets/<who>.nats    password for NATS                      0600
//     secrets/registry      password of the local registry         0600
//     secrets/registry.http signs its uploads, so that they survive its restart
//     run/                  ports, pids, generated server configurations
//     log/<process>.log
//     state/<process>/      RocksDB of each agent; nats/, registry/, cluster/
//     runs/                 run directories
#pragma once
#include <string>
#include <vector>

#include "agents/bus/names.h"
#include "schemas/base/result.h"

namespace kairo::cli {
struct Home {
  std::string path;
  std::string operator/(const std::string& part) const { return path + "/" + part; }
};
Home default_home();
Result<Home> absolute(const Home& home);   // invalid: its path is empty
const std::vector<std::string>& agents();  // "watcher", "provisioner", ...
// Who has a token at the API server and a password at the bus: the agents, and "web".
const std::vector<std::string>& users();

// Makes the folders and what is missing of the secrets. Idempotent. invalid: a folder that holds
// other things and no kairo; it is left as it is.
Status prepare_home(const Home& home);
// Removes what prepare_home() and the processes made, and the folder itself when nothing else is
// left in it. invalid: there is no kairo in it.
Status purge_home(const Home& home);
Result<std::string> read_secret(const Home& home, const std::string& name);
// Ports are chosen once and kept, so that a restart finds the same addresses: {"nats": 4222, ...}
struct Ports {
  int nats = 0, cluster = 0, registry = 0, gateway = 0, web = 0;
};
Result<Ports> read_ports(const Home& home);
Status write_ports(const Home& home, const Ports& ports);
int free_port();                                                         // on loopback
bool is_port_free(int port);                                             // on loopback
bool does_listen(int port);                                              // on loopback
Status write_private(const std::string& path, const std::string& text);  // 0600, by rename
// Where models lie: $KAIRO_MODELS, else $KAIRO_CACHE/models, else ~/.cache/kairo/models.
std::string models_dir();
// $KAIRO_CLUSTER names this cluster on its bus, for subscribers that hear several; else it has no
// name.
Result<bus::Names> bus_names();
std::string for_people(const std::string& path);  // the user's own folder as ~
}  // namespace kairo::cli
