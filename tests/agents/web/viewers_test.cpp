// What this proves: in a cluster the API server is asked whose a token is and what they may, once a
// minute; what cannot be asked lets nobody in.
#include "agents/web/viewers.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/support/fake_clock.h"

using namespace kairo;
using Json = nlohmann::json;
namespace {
struct Reviews final : cluster::Cluster {
  std::vector<std::string> asked;
  bool is_there = true;
  Result<std::string> create(const cluster::Apply& a) override {
    const Json spec = Json::parse(a.json)["spec"];
    asked.push_back(spec.dump());
    if (!is_there) return Error{Code::unavailable, "no answer"};
    Json out = {{"status", Json::object()}};
    if (a.ref.kind.kind == "TokenReview" && spec["token"] == "good")
      out["status"] = {{"authenticated", true},
                       {"user", {{"username", "ada"}, {"groups", {"team-a"}}}}};
    if (a.ref.kind.kind == "SubjectAccessReview")
      out["status"]["allowed"] = spec["resourceAttributes"]["namespace"] == "team-a";
    return out.dump();
  }
  Result<std::string> apply(const cluster::Apply&) override { return no(); }
  Result<std::string> patch(const cluster::Patch&) override { return no(); }
  Result<std::string> get(const cluster::Ref&) override { return no(); }
  Result<cluster::Listing> list(const cluster::Selection&) override { return no(); }
  Result<std::vector<cluster::Event>> watch(const cluster::Selection&, const std::string&,
                                            std::int64_t) override {
    return no();
  }
  Status remove(const cluster::Ref&, const std::string&) override { return no(); }
  Result<std::string> log(const cluster::Ref&, const std::string&, std::uint64_t) override {
    return no();
  }
  static Error no() { return {Code::invalid, "not asked for"}; }
};
}  // namespace

TEST_CASE("what a path needs") {
  struct Row {
    const char *path, *need;
  };
  for (const Row& row :
       {Row{"/api/v1/stream", "list workspaces//"}, Row{"/api/v1/workspaces", "list workspaces//"},
        Row{"/api/v1/workspaces/a/x", "list workspaces//a"},
        Row{"/api/v1/workspaces/a/x/curve", "list workspaces//a"},
        Row{"/api/v1/workspaces/a/x/events", "list events//a"},
        Row{"/api/v1/workspaces/a/x/log", "get pods/log/a"},
        Row{"/api/v1/chat/a/x", "create services/proxy/a"}}) {
    const web::Need need = web::need_of(row.path);
    CHECK(need.verb + " " + need.resource + "/" + need.subresource + "/" + need.ns == row.need);
  }
}
TEST_CASE("who may look") {
  Reviews reviews;
  test::FakeClock clock;
  web::Viewers viewers(reviews, clock);
  const web::Need theirs = web::need_of("/api/v1/workspaces/team-a/x");
  CHECK(viewers.refusal("good", theirs).status == 0);
  REQUIRE(reviews.asked.size() == 2);
  CHECK(reviews.asked[0] == R"({"token":"good"})");
  CHECK(reviews.asked[1] ==
        R"({"groups":["team-a"],"resourceAttributes":{"group":"kaito.sh","namespace":"team-a",)"
        R"("resource":"workspaces","subresource":"","verb":"list"},"user":"ada"})");
  CHECK(viewers.refusal("good", theirs).status == 0);
  CHECK(reviews.asked.size() == 2);  // it holds for a minute
  const web::Refusal all = viewers.refusal("good", web::need_of("/api/v1/stream"));
  CHECK(all.status == 403);
  CHECK(all.text ==
        "ada may not list workspaces of all namespaces; a ClusterRoleBinding to "
        "kairo-viewer allows it\n");
  CHECK(viewers.refusal("bad", theirs).status == 401);
  reviews.is_there = false;
  CHECK(viewers.refusal("good", theirs).status == 0);
  clock.advance(60'000);
  CHECK(viewers.refusal("good", theirs).status == 503);
  reviews.is_there = true;
  CHECK(viewers.refusal("good", theirs).status == 0);  // a 503 is not kept
}
