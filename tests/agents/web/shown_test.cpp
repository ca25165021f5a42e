// What this proves: what viewers are told of objects, steps, curves and events, literally.
#include "agents/web/shown.h"

#include <doctest/doctest.h>

#include <limits>
#include <nlohmann/json.hpp>

using namespace kairo;
using Json = nlohmann::json;

TEST_CASE("a Workspace without bookkeeping and pod templates") {
  const Json object = Json::parse(R"({"apiVersion":"kaito.sh/v1beta1","kind":"Workspace",
    "metadata":{"name":"a","namespace":"d","uid":"u","managedFields":[1],"annotations":{"x":"y"},
    "finalizers":["f"],"resourceVersion":"9"},"inference":{"preset":{"name":"p"},"template":{}}})");
  CHECK(
      web::shown_workspace(object).dump() ==
      R"({"inference":{"preset":{"name":"p"}},"metadata":{"name":"a","namespace":"d","uid":"u"}})");
  CHECK(web::shown_workspace(Json("text")).dump() == "{}");
  const Json tuned = Json::parse(R"({"tuning":{"input":{"urls":[
    "https://user:word@host.example/rows.jsonl?sig=secret#x", 7]}}})");
  CHECK(web::shown_workspace(tuned).dump() ==
        R"({"tuning":{"input":{"urls":["https://host.example/rows.jsonl",7]}}})");
}
TEST_CASE("a curve in columns; what is no number is null") {
  wire::CurveT c;
  c.first = {1, 3};
  c.last = {2, 4};
  c.min = {0.5F, 0.25F};
  c.mean = {0.6F, std::numeric_limits<float>::quiet_NaN()};
  c.max = {0.7F, 0.26F};
  c.learning_rate = {1e-4F, 0};
  c.grad_norm = {1, 2};
  c.tokens_per_second = {300, 301};
  c.tokens = {100, 200};
  c.at_ms = {1764000000000, 1764000001000};
  c.attempts.push_back(std::make_unique<wire::CurveAttemptT>());
  c.attempts[0]->attempt = 1;
  c.evals.push_back(std::make_unique<wire::CurveEvalT>());
  c.evals[0]->step = 4;
  c.evals[0]->loss = 0.5F;
  CHECK(web::curve_json(c) ==
        R"({"at_ms":[1764000000000,1764000001000],"attempts":[{"attempt":1,"from_step":0}],)"
        R"("eval":[[4,0.5]],"first":[1,3],"grad_norm":[1.0,2.0],"last":[2,4],"lr":[0.0001,0.0],)"
        R"("max":[0.7,0.26],"mean":[0.6,null],"min":[0.5,0.25],"tokens":[100,200],)"
        R"("tokens_per_second":[300.0,301.0]})");
  CHECK(web::spark_json(c) == "[0.6,null]");
  CHECK(web::is_even(c));
  c.tokens.pop_back();
  CHECK_FALSE(web::is_even(c));
  for (int i = 0; i < 998; ++i) c.mean.push_back(static_cast<float>(i));
  const Json spark = Json::parse(web::spark_json(c));
  CHECK(spark.size() == 32);
  CHECK(spark[31] == 997.0);
  CHECK(web::spark_json(wire::CurveT()) == "[]");
}
TEST_CASE("events: newest first, the same words once") {
  const auto event = [](const char* reason, const char* at, int count) {
    return Json{{"type", "Warning"},   {"reason", reason},
                {"message", "m"},      {"involvedObject", {{"kind", "Pod"}, {"name", "p"}}},
                {"lastTimestamp", at}, {"count", count}}
        .dump();
  };
  const Json shown = web::shown_events({event("A", "2026-11-30T10:00:00Z", 2), "no JSON",
                                        event("B", "2026-11-30T11:00:00Z", 1),
                                        event("A", "2026-11-30T12:00:00Z", 3)});
  REQUIRE(shown.size() == 2);
  CHECK(
      shown[0].dump() ==
      R"({"at":"2026-11-30T12:00:00Z","count":5,"message":"m","object":"Pod/p","reason":"A","type":"Warning"})");
  CHECK(shown[1]["reason"] == "B");
}
TEST_CASE("a node is silent when the cluster no longer knows of it") {
  const auto node = [](const char* status) {
    return Json{{"metadata", {{"name", "n"}}},
                {"status",
                 {{"conditions",
                   {{{"type", "Ready"},
                     {"status", status},
                     {"lastHeartbeatTime", "2025-11-24T16:00:00Z"}}}}}}};
  };
  const std::int64_t now_ms = 1764000000000 + 90'000;
  CHECK(web::shown_node(node("True"), now_ms).dump() ==
        R"({"name":"n","ready":true,"silent_ms":0})");
  CHECK(web::shown_node(node("False"), now_ms).dump() ==
        R"({"name":"n","ready":false,"silent_ms":0})");
  CHECK(web::shown_node(node("Unknown"), now_ms).dump() ==
        R"({"name":"n","ready":false,"silent_ms":90000})");
  CHECK(web::shown_node(Json::object(), now_ms).dump() ==
        R"({"name":"","ready":false,"silent_ms":-1})");
}
TEST_CASE("the tick tells how old each hop's word is") {
  CHECK(web::tick_json(5, 1'000, {true, 400, ""}, {false, 0, "bus: gone"}, Json::array()) ==
        R"({"api":{"age_ms":600,"error":"","ok":true},"at":5,)"
        R"("bus":{"age_ms":1000,"error":"bus: gone","ok":false},"nodes":[]})");
}
