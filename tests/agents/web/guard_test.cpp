// What this proves: the page's API wants the token, a name of ours, and no other page's POST.
#include "agents/web/guard.h"

#include <doctest/doctest.h>

using namespace kairo;

TEST_CASE("who may ask what") {
  const std::string token(64, 't');
  const web::Guard guard(token, {"kairo.example.org"});
  const std::string bearer = "Bearer " + token;
  struct Row {
    const char* name;
    web::Asked asked;
    int status;
  };
  const std::string list = "/api/v1/workspaces", chat = "/api/v1/chat/d/s";
  const Row rows[] = {
      {"the page needs no token", {"GET", "/", "127.0.0.1:80", "", "", ""}, 0},
      {"by name", {"GET", "/", "localhost:5000", "", "", ""}, 0},
      {"by IPv6", {"GET", "/", "[::1]:5000", "", "", ""}, 0},
      {"by a name that was given", {"GET", "/", "kairo.example.org", "", "", ""}, 0},
      {"by somebody's own name", {"GET", "/", "evil.example:5000", bearer, "", ""}, 421},
      {"by none", {"GET", list, "", bearer, "", ""}, 421},
      {"a probe asks by address", {"GET", "/readyz", "10.0.0.7:80", "", "", ""}, 0},
      {"without a token", {"GET", list, "localhost", "", "", ""}, 401},
      {"with another", {"GET", list, "localhost", "Bearer " + std::string(64, 'u'), "", ""}, 401},
      {"with a part of it", {"GET", list, "localhost", "Bearer ttt", "", ""}, 401},
      {"by another scheme", {"GET", list, "localhost", "Basic " + token, "", ""}, 401},
      {"with it", {"GET", list, "localhost", bearer, "", ""}, 0},
      {"a POST of the page",
       {"POST", chat, "localhost:1", bearer, "http://localhost:1", "same-origin"},
       0},
      {"a POST of curl", {"POST", chat, "localhost:1", bearer, "", ""}, 0},
      {"a POST of another page",
       {"POST", chat, "localhost:1", bearer, "http://evil.example", "cross-site"},
       403},
      {"a POST of another port",
       {"POST", chat, "localhost:1", bearer, "http://localhost:2", "same-site"},
       403},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(guard.refusal(row.asked).status == row.status);
  }
  CHECK(guard.refusal({"GET", list, "localhost", "", "", ""}).text ==
        "This page needs its token: `kairo dashboard` opens it with one.\n");
}
TEST_CASE("every answer forbids what the page does not need") {
  const auto& headers = web::Guard::headers();
  CHECK(headers.at("Content-Security-Policy") ==
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'");
  CHECK(headers.at("X-Content-Type-Options") == "nosniff");
  CHECK(headers.at("Referrer-Policy") == "no-referrer");
}
