// What this proves: the entries that fit an image come in kubelet's and docker's order.
#include "agents/transfer/docker_auth.h"

#include <doctest/doctest.h>

using namespace kairo;
using namespace kairo::transfer;

namespace {
std::string users(const std::string& config, const std::string& image) {
  const auto found = credentials_for(config, parse_reference(image).value());
  if (!found.ok()) return "error";
  std::string out;
  for (const Credential& c : found.value())
    out += (out.empty() ? "" : ",") + (c.username.empty() ? "(token)" : c.username);
  return out;
}
std::string auths(const std::string& entries) {
  return R"({"auths":{)" + entries + "}}";
}
std::string entry(const std::string& key, const std::string& user) {
  return "\"" + key + R"(":{"username":")" + user + R"(","password":"p"})";
}
}  // namespace

TEST_CASE("docker_auth: which entries fit") {
  struct Row {
    std::string name, config, image, users;
  };
  const Row rows[] = {
      {"nothing", "", "r.example/a", ""},
      {"no auths", "{}", "r.example/a", ""},
      {"helpers only", R"({"credsStore":"desktop"})", "r.example/a", ""},
      {"helper entry", auths(R"("r.example":{})"), "r.example/a", ""},
      {"host", auths(entry("r.example", "u")), "r.example/a", "u"},
      {"another host", auths(entry("r.example", "u")), "s.example/a", ""},
      {"port must be equal", auths(entry("r.example:5000", "u")), "r.example/a", ""},
      {"scheme and version", auths(entry("https://r.example/v2/", "u")), "r.example/a", "u"},
      {"legacy dockercfg", "{" + entry("r.example", "u") + "}", "r.example/a", "u"},
      {"repository before host",
       auths(entry("r.example", "host") + "," + entry("r.example/a", "team") + "," +
             entry("r.example/a/b", "exact")),
       "r.example/a/b", "exact,team,host"},
      {"a path is a prefix", auths(entry("r.example/foo", "u")), "r.example/foobar", "u"},
      {"glob in one label", auths(entry("*.azurecr.io", "u")), "x.azurecr.io/a", "u"},
      {"glob crosses no dot", auths(entry("*.azurecr.io", "u")), "a.b.azurecr.io/a", ""},
      {"exact before glob", auths(entry("*.x.io", "glob") + "," + entry("r.x.io", "exact")),
       "r.x.io/a", "exact,glob"},
      {"docker hub", auths(entry("https://index.docker.io/v1/", "hub")), "busybox", "hub"},
      {"docker hub by name", auths(entry("registry-1.docker.io", "hub")), "team/app", "hub"},
      {"identity token", auths(R"("r.example":{"identitytoken":"t"})"), "r.example/a", "(token)"},
      {"auth wins", auths(R"("r.example":{"username":"u","password":"p","auth":"YTpiOmM="})"),
       "r.example/a", "a"},
      {"auth that is none", auths(R"("r.example":{"auth":"YWJj"})"), "r.example/a", "error"},
      {"not JSON", "user:password", "r.example/a", "error"},
      {"auths is a list", R"({"auths":[]})", "r.example/a", "error"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(users(row.config, row.image) == row.users);
  }
}
TEST_CASE("docker_auth: a password may hold colons; errors quote nothing") {
  const auto reference = parse_reference("r.example/a").value();
  const auto found =
      credentials_for(auths(R"("r.example":{"auth":"YTpiOmM="})"), reference).value();
  CHECK(found.at(0).password == "b:c");
  CHECK(credentials_for("s3cret", reference).error().what.find("s3cret") == std::string::npos);
}
