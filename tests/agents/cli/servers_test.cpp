// What this proves: the chart's NATS gives each agent the rights that `kairo up` gives it.
#include "agents/cli/servers.h"

#include <doctest/doctest.h>

#include <fstream>
#include <sstream>

using namespace kairo;

TEST_CASE("deploy/chart/files/nats_users.conf is nats_config()'s, with passwords from outside") {
  cli::NatsPlan plan{4222, "/data", {}, {}};
  for (const char* user : {"watcher", "provisioner", "launcher", "node", "pusher", "web", "admin"})
    plan.passwords[user] = std::string("of ") + user;
  std::string wanted = cli::nats_config(plan);
  wanted = wanted.substr(wanted.find("authorization {"));
  for (const auto& [user, password] : plan.passwords) {
    std::string variable = "$KAIRO_BUS_";
    for (const char c : user) variable += static_cast<char>(c - 'a' + 'A');
    const std::string quoted = "\"" + password + "\"";
    wanted.replace(wanted.find(quoted), quoted.size(), variable);
  }
  std::ostringstream file;
  file << std::ifstream(KAIRO_SOURCE_DIR "/deploy/chart/files/nats_users.conf").rdbuf();
  INFO("the file must be:\n" << wanted);
  CHECK(file.str() == wanted);
}
