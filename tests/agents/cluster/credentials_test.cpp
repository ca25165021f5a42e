// What this proves: files are read again, a plugin is asked when it must be and no more often, and
// what it prints is checked without being told.
#include "agents/cluster/credentials.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "tests/support/fake_clock.h"
#include "tests/support/servers.h"

using namespace kairo;
using namespace kairo::cluster;
namespace {
const std::string v1 = "client.authentication.k8s.io/v1";
std::string printed(const std::string& status, const std::string& version = v1) {
  return R"({"kind":"ExecCredential","apiVersion":")" + version + R"(","status":)" + status + "}";
}
void write(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}
std::string text_in(const std::string& path) {
  std::ostringstream out;
  out << std::ifstream(path).rdbuf();
  return out.str();
}
KubeConfig with_plugin(const std::string& folder, const std::string& script) {
  write(folder + "/who", "#!/bin/sh\necho run >>\"$0.runs\"\n" + script);
  chmod((folder + "/who").c_str(), S_IRWXU);
  KubeConfig out;
  out.base_url = "https://h:1";
  out.exec.emplace();
  out.exec->api_version = v1;
  out.exec->command = folder + "/who";
  out.exec->mode = "Never";
  return out;
}
}  // namespace

TEST_CASE("an ExecCredential") {
  ExecPlugin plugin;
  plugin.api_version = v1;
  plugin.command = "who";
  const auto good = parse_exec_credential(
      printed(R"({"token":"t","expirationTimestamp":"2026-01-31T14:00:00.5+02:00"})"), plugin);
  REQUIRE(good.ok());
  CHECK(good.value().token == "t");
  CHECK(rfc3339(good.value().expires_ms) == "2026-01-31T12:00:00Z");
  const auto cert = parse_exec_credential(
      printed(R"({"clientCertificateData":"c","clientKeyData":"k"})"), plugin);
  CHECK(cert.value().key == "k");
  CHECK(cert.value().expires_ms == 0);
  struct Row {
    std::string text, why;
  };
  for (const Row& row : {
           Row{"s3cret", "what it printed is no ExecCredential in JSON"},
           Row{"{}", "what it printed is no ExecCredential in JSON"},
           Row{printed(R"({"token":"s3cret"})", "client.authentication.k8s.io/v1beta1"),
               "it answers with another apiVersion than the user's exec.apiVersion, " + v1},
           Row{printed("{}"), "it gives neither a token nor a client certificate"},
           Row{printed("null"), "it gives neither a token nor a client certificate"},
           Row{printed(R"({"token":"a","clientKeyData":"s3cret"})"),
               "it gives only one of clientCertificateData and clientKeyData"},
           Row{printed(R"({"token":"s3cret\nX: y"})"), "its token has a line break"},
           Row{printed(R"({"token":"a","expirationTimestamp":7})"),
               "its expirationTimestamp is no time like 2026-01-31T12:00:00Z"},
           Row{printed(R"({"token":"a","expirationTimestamp":"2026-01-31T12:00:00"})"),
               "its expirationTimestamp is no time like 2026-01-31T12:00:00Z"},
       }) {
    CAPTURE(row.text);
    const auto read = parse_exec_credential(row.text, plugin);
    REQUIRE_FALSE(read.ok());
    CHECK(read.error().what == "exec plugin who: " + row.why);
  }
}

TEST_CASE("what a plugin is told") {
  ExecPlugin plugin;
  plugin.api_version = v1;
  KubeConfig config;
  config.base_url = "https://h:1";
  config.server_name = "inner";
  CHECK(exec_info(plugin, config, "ca", false) ==
        R"({"apiVersion":")" + v1 + R"(","kind":"ExecCredential","spec":{"interactive":false}})");
  plugin.wants_cluster = true;
  plugin.cluster_extra = R"({"a":1})";
  CHECK(
      exec_info(plugin, config, "ca", true) ==
      R"({"apiVersion":")" + v1 +
          R"(","kind":"ExecCredential","spec":{"cluster":{"certificate-authority-data":"Y2E=",)" +
          R"("config":{"a":1},"server":"https://h:1","tls-server-name":"inner"},"interactive":true}})");
}

TEST_CASE("a plugin is run once for as long as its word holds, and after a 401") {
  const test::TempDir dir;
  test::FakeClock clock;
  const std::string runs = dir.path + "/who.runs";
  KubeConfig config =
      with_plugin(dir.path, "echo \"$KUBERNETES_EXEC_INFO\" >\"$0.info\"\necho '" +
                                printed(R"({"token":"'$N'","expirationTimestamp":")" +
                                        rfc3339(clock.now_ms() + 3'600'000) + R"("})") +
                                "'\n");
  config.exec->env = {{"N", "first"}};
  Credentials credentials(config, clock);
  auto identity = credentials.now();
  REQUIRE(identity.ok());
  CHECK(identity.value()->header == "Authorization: Bearer first");
  CHECK(text_in(dir.path + "/who.info") ==
        R"({"apiVersion":")" + v1 +
            R"(","kind":"ExecCredential","spec":{"interactive":false}})"
            "\n");
  clock.advance(600'000);
  CHECK(credentials.now().ok());
  CHECK(text_in(runs) == "run\n");
  credentials.forget(credentials.now().value());
  CHECK(credentials.now().ok());
  CHECK(text_in(runs) == "run\nrun\n");
  clock.advance(3'600'000);
  CHECK(credentials.now().ok());
  CHECK(text_in(runs) == "run\nrun\nrun\n");
}

TEST_CASE("a plugin that fails says so without its output") {
  const test::TempDir dir;
  test::FakeClock clock;
  KubeConfig config = with_plugin(dir.path, "echo s3cret; exit 3\n");
  CHECK(Credentials(config, clock).now().error().what ==
        "exec plugin " + dir.path + "/who: exit code 3; run it by hand to see why");
  Credentials patient(config, clock);
  for (const char* runs : {"run\nrun\n", "run\nrun\n"}) {
    CHECK_FALSE(patient.now().ok());
    CHECK(text_in(dir.path + "/who.runs") == runs);
  }
  clock.advance(6'000);
  CHECK_FALSE(patient.now().ok());
  CHECK(text_in(dir.path + "/who.runs") == "run\nrun\nrun\n");
  config.exec->command = "kairo-no-such-program";
  config.exec->install_hint = "install it from example.com";
  const auto none = Credentials(config, clock).now();
  CHECK(none.error().code == Code::invalid);
  CHECK(
      none.error().what ==
      "exec plugin kairo-no-such-program: No such file or directory; install it from example.com");
  config = with_plugin(dir.path, "head -c 2000000 /dev/zero\n");
  CHECK(Credentials(config, clock).now().error().what ==
        "exec plugin " + dir.path + "/who: it printed more than 1048576 bytes");
}

TEST_CASE("files that others replace: read again after 50 s and after a 401; the last good stays") {
  const test::TempDir dir;
  test::FakeClock clock;
  KubeConfig config;
  config.token_file = dir.path + "/token";
  config.ca_file = dir.path + "/ca";
  Credentials credentials(config, clock);
  CHECK(credentials.now().error().what == "CA file " + config.ca_file + ": cannot be read");
  write(config.ca_file, "CA1\n");
  CHECK(credentials.now().error().what == "token file " + config.token_file + ": cannot be read");
  write(config.token_file, "one\n");
  CHECK(credentials.now().value()->header == "Authorization: Bearer one");
  CHECK(credentials.now().value()->peer.ca == "CA1");
  write(config.token_file, "two\n");
  write(config.ca_file, "CA2\n");
  CHECK(credentials.now().value()->header == "Authorization: Bearer one");
  const auto refused = credentials.now().value();
  credentials.forget(refused);
  CHECK(credentials.now().value()->header == "Authorization: Bearer two");
  CHECK(credentials.now().value()->peer.ca == "CA2");
  write(config.token_file, "three\n");
  credentials.forget(refused);  // it has been replaced already
  CHECK(credentials.now().value()->header == "Authorization: Bearer two");
  clock.advance(51'000);
  CHECK(credentials.now().value()->header == "Authorization: Bearer three");
  write(config.token_file, "");
  clock.advance(51'000);
  CHECK(credentials.now().value()->header == "Authorization: Bearer three");
  write(config.token_file, "a\nb\n");
  clock.advance(51'000);
  CHECK(credentials.now().error().what ==
        "token file " + config.token_file + ": has several lines");
}
