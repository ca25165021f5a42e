// What this proves: image names are read as docker reads them.
#include "agents/transfer/reference.h"

#include <doctest/doctest.h>

using namespace kairo::transfer;

TEST_CASE("reference: normal forms") {
  struct Row {
    std::string text, normal;
  };
  const std::string digest = "sha256:" + std::string(64, 'a');
  const Row rows[] = {
      {"busybox", "docker.io/library/busybox:latest"},
      {"busybox:1", "docker.io/library/busybox:1"},
      {"team/app", "docker.io/team/app:latest"},
      {"index.docker.io/team/app", "docker.io/team/app:latest"},
      {"localhost/app", "localhost/app:latest"},
      {"localhost:5000/app", "localhost:5000/app:latest"},
      {"127.0.0.1:5000/a/b-c__d.e:V_1.0-x", "127.0.0.1:5000/a/b-c__d.e:V_1.0-x"},
      {"[::1]:5000/app:2", "[::1]:5000/app:2"},
      {"r.example/app@" + digest, "r.example/app@" + digest},
      {"r.example/app:1@" + digest, "r.example/app:1@" + digest},
      {"r.example:443/a/b/c:1", "r.example:443/a/b/c:1"},
      {"UPPER/app", "UPPER/app:latest"},
      {"a---b/c", "docker.io/a---b/c:latest"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const auto got = parse_reference(row.text);
    REQUIRE(got.ok());
    CHECK(text_of(got.value()) == row.normal);
  }
}
TEST_CASE("reference: what is none") {
  const std::string rows[] = {"",
                              "Upper",
                              "a b",
                              "app:",
                              "app:-x",
                              "app:" + std::string(129, 'x'),
                              "r.example/",
                              "/app",
                              "r.example//app",
                              "a..b/c",
                              "a___b/c",
                              "-a/b",
                              "https://r.example/app",
                              "r.example:port/app",
                              "app@sha256:abc",
                              "app@md5:" + std::string(64, 'a'),
                              "r.example/" + std::string(250, 'a')};
  for (const std::string& row : rows) {
    CAPTURE(row);
    const auto got = parse_reference(row);
    REQUIRE_FALSE(got.ok());
    CHECK(got.error().what.starts_with("Unable to parse image reference \"" + row.substr(0, 300)));
  }
}
TEST_CASE("reference: hosts") {
  CHECK(api_host_of(parse_reference("busybox").value()) == "registry-1.docker.io");
  struct Row {
    std::string host;
    bool is_loopback;
  };
  const Row rows[] = {{"localhost", true},         {"localhost:5000", true}, {"127.0.0.1:1", true},
                      {"127.9.9.9", true},         {"[::1]:5000", true},     {"[::2]:5000", false},
                      {"127.0.0.1.evil.x", false}, {"127.evil.a.b", false},  {"128.0.0.1", false},
                      {"localhost.evil", false}};
  for (const Row& row : rows) {
    CAPTURE(row.host);
    CHECK(is_loopback_host(row.host) == row.is_loopback);
  }
}
