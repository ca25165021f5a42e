// What this proves: flags count before the environment, the environment before the file; what is
// wrong is named with its source and remedy; no secret is printed; the docs have this very table.
#include "agents/settings.h"

#include <doctest/doctest.h>

#include <fstream>
#include <sstream>

using namespace kairo;
namespace {
using Map = std::map<std::string, std::string>;
Result<Settled> settled(const Map& flags, const Map& variables, const std::string& file = "") {
  const auto env = [&](const std::string& name) {
    const auto found = variables.find(name);
    return found == variables.end() ? "" : found->second;
  };
  return settle(flags, env, SettingsFile{"k.yaml", file});
}
}  // namespace

TEST_CASE("who counts: flags, environment, file") {
  const std::string file = "# ours\nbus-url: nats://file:1\nnode: node-f\nlog: debug\nreplica:\n";
  const auto all = settled({{"bus-url", "nats://flag:1"}},
                           {{"KAIRO_BUS_URL", "nats://env:1"}, {"KAIRO_NODE", "node-e"}}, file);
  REQUIRE(all.ok());
  const Settled& s = all.value();
  CHECK(s["bus-url"] == "nats://flag:1");
  CHECK(s.where("bus-url") == "--bus-url");
  CHECK(s["node"] == "node-e");
  CHECK(s.where("node") == "KAIRO_NODE");
  CHECK(s["log"] == "debug");
  CHECK(s.where("log") == "k.yaml:4");
  CHECK(s["replica"] == "");
  CHECK(s.source("replica") == Source::nobody);
  CHECK(s.source("log") == Source::file);
  CHECK(settled({{"node", ""}}, {{"KAIRO_NODE", "e"}}).value()["node"] == "e");
  CHECK(settled({}, {}, "replica: 17\n").value()["replica"] == "17");  // as it is written
  CHECK(settle(
            {}, [](const std::string&) { return std::string(); }, std::nullopt)
            .ok());
}

TEST_CASE("what was said is printed without secrets") {
  const auto s =
      settled({{"mode", "in-cluster"}}, {{"KAIRO_BUS_PASSWORD", "s3cret"}}, "bus-user: ann\n");
  REQUIRE(s.ok());
  const std::vector<std::pair<std::string, std::string>> wanted{
      {"mode", "in-cluster (--mode)"},
      {"bus-user", "ann (k.yaml:1)"},
      {"bus-password", "<hidden> (KAIRO_BUS_PASSWORD)"}};
  CHECK(s.value().spoken() == wanted);
  CHECK(s.value().wrong("bus-password", "say another").what ==
        "bus-password is wrong (KAIRO_BUS_PASSWORD); say another");
}

TEST_CASE("what is wrong: setting, value, source, remedy") {
  struct Row {
    Map flags, variables;
    std::string file, says;
  };
  const std::vector<Row> rows{
      {{{"mode", "k8s"}}, {}, "", "mode is \"k8s\" (--mode); use local, kubeconfig or in-cluster"},
      {{},
       {{"KAIRO_BUS_URL", "http://h"}},
       "",
       "bus-url is \"http://h\" (KAIRO_BUS_URL); use nats://HOST:PORT or tls://HOST:PORT"},
      {{{"bus-replicas", "2"}}, {}, "", "bus-replicas is \"2\" (--bus-replicas); use 1, 3 or 5"},
      {{},
       {{"KAIRO_BUS_CA_FILE", "ca.crt"}},
       "",
       "bus-ca-file is \"ca.crt\" (KAIRO_BUS_CA_FILE); use an absolute path"},
      {{},
       {},
       "health-address: 8080\n",
       "health-address is \"8080\" (k.yaml:1); use ADDRESS:PORT, as 0.0.0.0:8080; port 0 is any"},
      {{{"health-address", "[::]:70000"}},
       {},
       "",
       "health-address is \"[::]:70000\" (--health-address); use ADDRESS:PORT, as 0.0.0.0:8080; "
       "port 0 is any"},
      {{},
       {{"KAIRO_REPLICA", "A"}},
       "",
       "replica is \"A\" (KAIRO_REPLICA); use at most 63 of a-z, 0-9 and -, and no - at its ends"},
      {{{"node", "Node_1"}},
       {},
       "",
       "node is \"Node_1\" (--node); use the Node's name as the cluster has it: a-z, 0-9, - and ."},
      {{{"log", "loud"}}, {}, "", "log is \"loud\" (--log); use debug, info, warn, error or off"},
      {{{"state-dir", "here"}},
       {},
       "",
       "state-dir is \"here\" (--state-dir); use an absolute path"},
      {{},
       {},
       "log: info\nbus-ulr: x\n",
       "k.yaml:2: no setting is called \"bus-ulr\"; did you mean bus-url?"},
      {{}, {}, "config: other.yaml\n", "k.yaml:1: config in the file that it names; remove it"},
      {{}, {}, "node: [a]\n", "k.yaml:1: node is no single value; give one"},
      {{}, {}, "- a\n", "k.yaml: not one map of settings and values"},
      {{}, {}, "a: 1\n---\nb: 2\n", "k.yaml: not one map of settings and values"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.says);
    const auto s = settled(row.flags, row.variables, row.file);
    REQUIRE_FALSE(s.ok());
    CHECK(s.error().code == Code::invalid);
    CHECK(s.error().what == row.says);
  }
  const auto secret = settled({}, {{"KAIRO_BUS_URL", "nats://u:s3cret@h"}});
  CHECK(secret.error().what ==
        "bus-url is wrong (KAIRO_BUS_URL); leave user and password out of it: bus-user, "
        "bus-password-file");
  CHECK(settled({}, {}, "zzzzzzzzz: 1\n")
            .error()
            .what.starts_with(
                "k.yaml:1: no setting is called \"zzzzzzzzz\"; there are config, mode"));
  CHECK(settled({}, {}, "a: [\n").error().what.starts_with("k.yaml:"));
}

TEST_CASE("docs/configuration.md has the table") {
  std::ostringstream page;
  page << std::ifstream(KAIRO_SOURCE_DIR "/docs/configuration.md").rdbuf();
  INFO(settings_table());
  CHECK(page.str().find("\n" + settings_table() + "\n") != std::string::npos);
}
