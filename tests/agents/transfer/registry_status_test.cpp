// What this proves: each answer of a registry has one reaction; headers are read as the wild sends.
#include "agents/transfer/registry_status.h"

#include <doctest/doctest.h>

#include "agents/transfer/registry_auth.h"

using namespace kairo::transfer;

TEST_CASE("registry_status: the table") {
  struct Row {
    std::string name;
    Step step;
    int status;
    Reaction reaction;
  };
  const Row rows[] = {
      {"blob is there", Step::head, 200, Reaction::done},
      {"blob is not", Step::head, 404, Reaction::absent},
      {"moved", Step::head, 302, Reaction::redirect},
      {"moved, for a write", Step::start, 302, Reaction::refused},
      {"moved, method kept", Step::patch, 307, Reaction::redirect},
      {"session", Step::start, 202, Reaction::done},
      {"no such project", Step::start, 404, Reaction::refused},
      {"chunk", Step::patch, 202, Reaction::done},
      {"chunk taken as all", Step::patch, 201, Reaction::whole_blob},
      {"session gone", Step::patch, 404, Reaction::new_session},
      {"session gone, asked", Step::ask, 404, Reaction::new_session},
      {"session unreadable", Step::finish, 400, Reaction::new_session},
      {"no chunks", Step::patch, 405, Reaction::whole_blob},
      {"no chunks either", Step::patch, 501, Reaction::whole_blob},
      {"body limit", Step::patch, 413, Reaction::smaller_chunks},
      {"manifest too large", Step::manifest, 413, Reaction::refused},
      {"wrong offset", Step::patch, 416, Reaction::ask_offset},
      {"token", Step::patch, 401, Reaction::authenticate},
      {"denied", Step::start, 403, Reaction::refused},
      {"slow down", Step::patch, 429, Reaction::again},
      {"gateway", Step::finish, 502, Reaction::again},
      {"cloud", Step::patch, 522, Reaction::again},
      {"client gone", Step::patch, 499, Reaction::again},
      {"finished", Step::finish, 201, Reaction::done},
      {"bad manifest", Step::manifest, 400, Reaction::refused},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(reaction_to(row.step, row.status) == row.reaction);
  }
}
TEST_CASE("registry_status: headers and bodies") {
  CHECK(described(401, R"({"errors":[{"code":"UNAUTHORIZED","message":"no"}]})") ==
        "401 UNAUTHORIZED: no");
  CHECK(described(502, "<html>") == "502 Bad Gateway");
  CHECK(described(418, "") == "418");
  CHECK(described(400, "{\"errors\":[{\"code\":\"A\",\"message\":\"x\\ny\"}]}") == "400 A: x y");
  CHECK(retry_after_s("", 0) == -1);
  CHECK(retry_after_s("30", 0) == 30);
  CHECK(retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT", 1445412470) == 10);
  CHECK(retry_after_s("soon", 0) == -1);
  CHECK(next_offset("0-99", 0) == 100);
  CHECK(next_offset("bytes=0-99", 0) == 100);
  CHECK(next_offset("0-0", 0) == 0);
  CHECK(next_offset("0-0", 1) == 1);
  CHECK(next_offset("5-9", 0) == -1);
  CHECK(next_offset("0-x", 0) == -1);
  CHECK(next_offset("", 0) == -1);
  CHECK(takes_chunks("r.example"));
  CHECK_FALSE(takes_chunks("1.dkr.ecr.eu-west-1.amazonaws.com"));
  CHECK_FALSE(takes_chunks("ghcr.io"));
}
TEST_CASE("registry_auth: challenges") {
  const auto all = parse_challenges(
      R"(Bearer realm="https://a/t?x=1,2",service="s\"q",scope="repository:a:pull,push" , BASIC realm=x)");
  REQUIRE(all.size() == 2);
  CHECK(all[0].scheme == "bearer");
  CHECK(all[0].values.at("realm") == "https://a/t?x=1,2");
  CHECK(all[0].values.at("service") == "s\"q");
  CHECK(all[0].values.at("scope") == "repository:a:pull,push");
  CHECK(all[1].scheme == "basic");
  CHECK(all[1].values.at("realm") == "x");
  for (const char* hostile : {"", ",,,", "=", "\"", "Bearer realm=\"", "Bearer =x", "a=b"})
    parse_challenges(hostile);  // terminates
}
