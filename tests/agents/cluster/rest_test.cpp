// What this proves: answers of an API server become the right reactions, paths the right objects,
// tokens the right users.
#include "agents/cluster/rest.h"

#include <doctest/doctest.h>

#include "agents/cluster/api_errors.h"
#include "agents/cluster/kinds.h"
#include "agents/local/apiserver/rights.h"
#include "agents/local/apiserver/routes.h"

using namespace kairo;
using namespace kairo::cluster;

TEST_CASE("answers: one reaction each") {
  struct Row {
    int status;
    std::string body;
    Code code;
    std::string what;
  };
  const std::vector<Row> rows{
      {400, R"({"message":"bad"})", Code::invalid, "op: bad"},
      {401, "", Code::unavailable, "op: HTTP 401; the token was not accepted"},
      {403, R"({"message":"no"})", Code::unavailable, "op: no; grant the right, it is tried again"},
      {403, R"({"message":"gone","details":{"causes":[{"reason":"NamespaceTerminating"}]}})",
       Code::invalid, "op: gone"},
      {404, R"({"message":"none","details":{"name":"x"}})", Code::not_found, "op: none"},
      {404, "404 page not found", Code::unavailable,
       "op: 404 page not found; is the CustomResourceDefinition installed?"},
      {405, "", Code::invalid, "op: HTTP 405"},
      {409, R"({"reason":"AlreadyExists"})", Code::conflict, R"(op: {"reason":"AlreadyExists"})"},
      {409, R"({"message":"changed"})", Code::conflict, "op: changed"},
      {410, R"({"message":"too old"})", Code::expired, "op: too old"},
      {413, "<html>", Code::invalid, "op: <html>"},
      {415, "", Code::invalid, "op: HTTP 415"},
      {418, "", Code::invalid, "op: HTTP 418"},
      {422, R"({"message":"x is invalid"})", Code::invalid, "op: x is invalid"},
      {429, "", Code::unavailable, "op: HTTP 429"},
      {500, "", Code::unavailable, "op: HTTP 500"},
      {502, "", Code::unavailable, "op: HTTP 502"},
      {503, "", Code::unavailable, "op: HTTP 503"},
      {504, R"({"message":{"not":"text"}})", Code::unavailable,
       R"(op: {"message":{"not":"text"}})"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.status);
    CAPTURE(row.body);
    const Error error = error_of(row.status, row.body, "op");
    CHECK(error.code == row.code);
    CHECK(error.what == row.what);
  }
}

TEST_CASE("paths and routes are inverse; other paths name nothing") {
  for (const Kind& kind : all_kinds) {
    CAPTURE(kind.plural);
    const std::string ns = kind.namespaced ? "team" : "";
    const auto object = route_of(object_path({kind, ns, "x"}, "status"));
    REQUIRE(object);
    CHECK(object->kind == kind);
    CHECK(object->ns == ns);
    CHECK(object->name == "x");
    CHECK(object->subresource == "status");
    const auto all = route_of(collection_path(kind, ""));
    REQUIRE(all);
    CHECK(all->name.empty());
  }
  const std::vector<std::string> nothing{"/",
                                         "/api/v1",
                                         "/apis/batch/v2/jobs",
                                         "/api/v1/namespaces/n/nodes",
                                         "/api/v1/pods/x",
                                         "/api/v1/namespaces/n/pods/x/exec",
                                         "/api/v1/namespaces/n/services/x/log",
                                         "/api/v1/namespaces/n/pods/x/log/y",
                                         "/apis/kaito.sh/v1/namespaces/n/workspaces/x"};
  for (const std::string& path : nothing) {
    CAPTURE(path);
    CHECK_FALSE(route_of(path));
  }
  CHECK(route_of("/apis/kaito.sh/v1alpha1/namespaces/n/workspaces/x")->kind.version == "v1alpha1");
  for (const char* path : {"/version", "/api", "/apis", "/api/v1", "/apis/kaito.sh/v1alpha1"})
    CHECK_FALSE(discovery(path).empty());
  CHECK(discovery("/apis/none/v1").empty());
}

TEST_CASE("tokens file: users by token; mistakes are named by line") {
  const std::string token(16, 't');
  const auto users = Users::parse("# people\n\n" + token + " ann admin\n" + token +
                                  "2 bob read,write:jobs,write:nodes/status\n");
  REQUIRE(users.ok());
  CHECK(users.value().find("Bearer " + token)->name == "ann");
  CHECK(users.value().find(token) == nullptr);
  CHECK(users.value().find("Bearer " + token + "3") == nullptr);
  const User* bob = users.value().find("Bearer " + token + "2");
  REQUIRE(bob != nullptr);
  CHECK(bob->may_read("pods"));
  CHECK_FALSE(bob->may_read("secrets"));
  CHECK(bob->may_write("jobs", ""));
  CHECK_FALSE(bob->may_write("jobs", "status"));
  CHECK(bob->may_write("nodes", "status"));
  struct Row {
    std::string text, words;
  };
  for (const Row& row :
       {Row{"", "no user"}, Row{"short ann admin", "shorter"}, Row{token + " ann", "line 1"},
        Row{"\n" + token + " ann root", "line 2: unknown right \"root\""},
        Row{token + " ann write:planets", "unknown right"},
        Row{token + " a read\n" + token + " b read", "same token"}}) {
    CAPTURE(row.text);
    const auto refused = Users::parse(row.text);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().what.find(row.words) != std::string::npos);
  }
  for (const char* agent : {"cli", "watcher", "provisioner", "launcher", "node", "pusher", "web"})
    CHECK(Users::parse(token + " " + agent + " " + standard_rights(agent)).ok());
  CHECK(Users::load("/nonexistent").error().code == Code::invalid);
}
