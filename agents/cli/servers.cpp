// agents/cli/servers.cpp - nats-server and docker-registry, told what they may.
#include "agents/cli/servers.h"

#include <crypt.h>
#include <sys/random.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "schemas/base/base64.h"

namespace kairo::cli {
namespace {
std::string quoted(const std::vector<std::string>& subjects) {
  std::string out = "[";
  for (const std::string& s : subjects) out += (out.size() > 1 ? ", " : "") + ("\"" + s + "\"");
  return out + "]";
}
// What every reader of facts may do, and no more: ordered consumers of its own on that stream.
std::vector<std::string> of_stream(const std::string& stream) {
  return {"$JS.API.STREAM.INFO." + stream,
          "$JS.API.STREAM.MSG.GET." + stream,
          "$JS.API.CONSUMER.CREATE." + stream,
          "$JS.API.CONSUMER.CREATE." + stream + ".>",
          "$JS.API.CONSUMER.INFO." + stream + ".*",
          "$JS.API.CONSUMER.DELETE." + stream + ".*",
          "$JS.FC." + stream + ".>"};
}
std::vector<std::string> reader_rights(const bus::Names& names, const std::string& agent) {
  std::vector<std::string> out = of_stream(names.facts());
  if (agent == "web")
    for (const std::string& right : of_stream(names.curves())) out.push_back(right);
  out.push_back(names.inbox(agent) + ".>");
  out.push_back(names.subject("kairo.dead." + agent));
  return out;
}
std::vector<std::string> publish_rights(const bus::Names& names, const std::string& agent) {
  std::vector<std::string> out = reader_rights(names, agent);
  const auto facts = [&](const std::vector<std::string>& kinds) {
    for (const std::string& kind : kinds)
      out.push_back(names.subject("kairo.facts." + kind + ".>"));
  };
  if (agent == "watcher") {
    facts({"workspace", "job", "pod", "server", "part", "node", "nodeclaim"});
    for (const std::string& stream : {names.facts(), names.status(), names.dead(), names.curves()})
      for (const char* verb : {"INFO.", "CREATE.", "UPDATE."})
        out.push_back("$JS.API.STREAM." + (verb + stream));
    out.push_back(names.subject("kairo.status.>"));
    out.emplace_back("$JS.API.INFO");
  }
  if (agent == "provisioner") facts({"resources"});
  if (agent == "launcher") facts({"run"});
  if (agent == "node") {
    facts({"rundir", "training", "artifact", "serving"});
    out.push_back(names.subject("kairo.curves.>"));
  }
  if (agent == "pusher") facts({"push", "checkpoint"});
  return out;
}
// People and programs: read all status, no facts, no writes.
std::string people_rights(const bus::Names& names) {
  const std::string status = names.status();
  return "publish: " +
         quoted({"$JS.API.INFO", "$JS.API.STREAM.INFO.>", "$JS.API.STREAM.NAMES",
                 "$JS.API.STREAM.LIST", "$JS.API.STREAM.MSG.GET." + status,
                 "$JS.API.STREAM.MSG.GET." + names.dead(), "$JS.API.CONSUMER.*." + status,
                 "$JS.API.CONSUMER.*." + status + ".>",
                 "$JS.API.CONSUMER.MSG.NEXT." + status + ".>", "$JS.ACK." + status + ".>",
                 "$JS.FC.>"}) +
         ", subscribe: " +
         quoted({"_INBOX.>", names.subject("kairo.status.>"), names.subject("kairo.dead.>")});
}
}  // namespace

std::string nats_config(const NatsPlan& plan) {
  std::ostringstream out;
  out << "host: 127.0.0.1\nport: " << plan.port << "\nmax_payload: 1048576\n"
      << "jetstream { store_dir: \"" << plan.store_dir << "\", max_file_store: 4294967296 }\n"
      << "authorization {\n  users = [\n";
  for (const auto& [user, password] : plan.passwords) {
    out << "    { user: \"" << user << "\", password: \"" << password << "\"";
    out << ", permissions: { "
        << (user == "admin" ? people_rights(plan.names)
                            : "publish: " + quoted(publish_rights(plan.names, user)) +
                                  ", subscribe: " + quoted({plan.names.inbox(user) + ".>"}))
        << " }";
    out << " }\n";
  }
  out << "  ]\n}\n";
  return out.str();
}

std::string registry_config(const RegistryPlan& plan) {
  std::ostringstream out;
  out << "version: 0.1\nlog:\n  level: warn\n  accesslog:\n    disabled: true\n"
      << "storage:\n  filesystem:\n    rootdirectory: " << plan.store_dir
      << "\n  delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:" << plan.port
      << "\n  secret: " << plan.http_secret
      << "\nauth:\n  htpasswd:\n    realm: kairo\n    path: " << plan.htpasswd << "\n";
  return out.str();
}

std::string htpasswd_line(const std::string& user, const std::string& password) {
  char random[16];
  if (getrandom(random, sizeof random, 0) != sizeof random) return {};
  char setting[CRYPT_GENSALT_OUTPUT_SIZE];
  if (crypt_gensalt_rn("$2y$", 5, random, sizeof random, setting, sizeof setting) == nullptr)
    return {};
  crypt_data data{};
  const char* hash = crypt_r(password.c_str(), setting, &data);
  return hash == nullptr ? "" : user + ":" + hash + "\n";
}

std::string docker_config(const std::string& registry, const std::string& user,
                          const std::string& password) {
  const nlohmann::json json = {
      {"auths", {{registry, {{"auth", base64_encode(user + ":" + password)}}}}}};
  return json.dump();
}
}  // namespace kairo::cli
