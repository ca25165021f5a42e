// What this proves: Jobs and StatefulSets are decided as Kubernetes' controllers decide, and the
// same state asks for nothing twice.
#include "agents/local/node/job.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "schemas/base/clock.h"

using namespace kairo;
using namespace kairo::cluster;
namespace {
constexpr std::int64_t now = 1'764'000'000'000;

Json pod(const std::string& name, const std::string& phase, int exit_code = 0,
         std::int64_t ended_ms = now) {
  Json out = {{"metadata", {{"name", name}, {"namespace", "d"}}}, {"status", {{"phase", phase}}}};
  if (phase == "Failed" || phase == "Succeeded")
    out["status"]["containerStatuses"] = Json::array(
        {{{"name", "c"},
          {"state",
           {{"terminated", {{"exitCode", exit_code}, {"finishedAt", rfc3339(ended_ms)}}}}}}});
  return out;
}
Json job_with(const std::string& spec, const std::string& status = "{}") {
  Json out = Json::parse(R"({"metadata":{"name":"j","namespace":"d","uid":"u"}})");
  out["spec"] = Json::parse(spec);
  out["spec"]["template"] = {{"spec", {{"restartPolicy", "Never"}}}};
  out["status"] = Json::parse(status);
  return out;
}
const std::string policy = R"({"podFailurePolicy":{"rules":[
  {"action":"FailJob","onExitCodes":{"operator":"In","values":[2]}},
  {"action":"Ignore","onExitCodes":{"operator":"In","values":[75]}}]}})";
struct Row {
  std::string name, spec, status;
  std::vector<Json> pods;
  std::size_t create, remove;
  std::string reason;  // of the condition; "" = none
  std::int64_t failed, look_again_ms;
};
}  // namespace

TEST_CASE("Jobs") {
  const std::vector<Row> rows{
      {"new", "{}", "{}", {}, 1, 0, "", 0, 0},
      {"pending", "{}", "{}", {pod("a", "Pending")}, 0, 0, "", 0, 0},
      {"done", "{}", "{}", {pod("a", "Succeeded")}, 0, 0, "CompletionsReached", 0, 0},
      {"first failure waits", "{}", "{}", {pod("a", "Failed", 1)}, 0, 0, "", 1, now + 10'000},
      {"just before", "{}", "{}", {pod("a", "Failed", 1, now - 9'000)}, 0, 0, "", 1, now + 1'000},
      {"exactly then", "{}", "{}", {pod("a", "Failed", 1, now - 10'000)}, 1, 0, "", 1, 0},
      {"the second waits longer",
       "{}",
       "{}",
       {pod("a", "Failed", 1), pod("b", "Failed", 1)},
       0,
       0,
       "",
       2,
       now + 20'000},
      {"at the limit",
       R"({"backoffLimit":1})",
       "{}",
       {pod("a", "Failed", 1, now - 60'000)},
       1,
       0,
       "",
       1,
       0},
      {"over the limit",
       R"({"backoffLimit":1})",
       "{}",
       {pod("a", "Failed", 1), pod("b", "Failed", 1)},
       0,
       0,
       "BackoffLimitExceeded",
       2,
       0},
      {"limit 0",
       R"({"backoffLimit":0})",
       "{}",
       {pod("a", "Failed", 1)},
       0,
       0,
       "BackoffLimitExceeded",
       1,
       0},
      {"a removed failure still counts",
       R"({"backoffLimit":0})",
       R"({"failed":1})",
       {},
       0,
       0,
       "BackoffLimitExceeded",
       1,
       0},
      {"wrong input", policy, "{}", {pod("a", "Failed", 2)}, 0, 0, "PodFailurePolicy", 1, 0},
      {"evicted: again at once", policy, "{}", {pod("a", "Failed", 75)}, 1, 0, "", 0, 0},
      {"three evictions: the next waits",
       policy,
       "{}",
       {pod("a", "Failed", 75, now - 9'000), pod("b", "Failed", 75), pod("c", "Failed", 75)},
       0,
       0,
       "",
       0,
       now + 10'000},
      {"many evictions: the oldest go",
       policy,
       "{}",
       {pod("a", "Failed", 75, now - 9'000), pod("b", "Failed", 75, now - 8'000),
        pod("c", "Failed", 75), pod("d", "Failed", 75), pod("e", "Running")},
       0,
       1,
       "",
       0,
       0},
      {"too long",
       R"({"activeDeadlineSeconds":5})",
       R"({"startTime":"2025-11-24T15:59:55Z"})",
       {pod("a", "Running")},
       0,
       1,
       "DeadlineExceeded",
       0,
       0},
      {"not yet too long",
       R"({"activeDeadlineSeconds":6})",
       R"({"startTime":"2025-11-24T15:59:55Z"})",
       {pod("a", "Running")},
       0,
       0,
       "",
       0,
       now + 1'000},
      {"suspended", R"({"suspend":true})", "{}", {}, 0, 0, "", 0, 0},
      {"suspended while it runs",
       R"({"suspend":true})",
       "{}",
       {pod("a", "Failed", 1), pod("b", "Running")},
       0,
       1,
       "",
       1,
       0},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    Json job = job_with(row.spec, row.status);
    const WorkloadStep step = decide_job(job, row.pods, 10'000, now);
    CHECK(step.create.size() == row.create);
    CHECK(step.remove.size() == row.remove);
    const Json& conditions = at(step.status, {"conditions"});
    CHECK((conditions.empty() ? "" : text(conditions[0], {"reason"})) == row.reason);
    CHECK(step.status["failed"] == row.failed);
    CHECK(step.look_again_ms == row.look_again_ms);
    job["status"] = step.status;  // and again, with what was asked for
    auto list = row.pods;
    for (const Json& made : step.create) list.push_back(made);
    std::erase_if(list, [&](const Json& p) {
      const std::string name = text(p, {"metadata", "name"});
      return std::find(step.remove.begin(), step.remove.end(), name) != step.remove.end();
    });
    const WorkloadStep again = decide_job(job, list, 10'000, now);
    CHECK(again.create.empty());
    CHECK(again.remove.empty());
    CHECK((again.status.is_null() || again.status == step.status));
  }
}

TEST_CASE("a Job's pod carries its template, owner and labels") {
  Json job = job_with("{}");
  job["spec"]["template"]["metadata"] = {{"annotations", {{"a", "b"}}}, {"labels", {{"l", "m"}}}};
  const Json made = decide_job(job, {}, 1, now).create.at(0);
  CHECK(text(made, {"metadata", "name"}).starts_with("j-"));
  CHECK(text(made, {"metadata", "annotations", "a"}) == "b");
  CHECK(text(made, {"metadata", "labels", "l"}) == "m");
  CHECK(text(made, {"metadata", "labels", "batch.kubernetes.io/job-name"}) == "j");
  CHECK(made["metadata"]["ownerReferences"][0]["uid"] == "u");
  job["metadata"]["deletionTimestamp"] = rfc3339(now);
  CHECK(decide_job(job, {}, 1, now).create.empty());
}

TEST_CASE("StatefulSets: count, replace, replace the old template") {
  Json set = job_with(R"({"replicas":2})");
  const WorkloadStep first = decide_stateful_set(set, {});
  REQUIRE(first.create.size() == 2);
  CHECK(text(first.create[1], {"metadata", "name"}) == "j-1");
  Json ready = first.create[0];
  ready["status"] =
      Json::parse(R"({"phase":"Running","conditions":[{"type":"Ready","status":"True"}]})");
  const WorkloadStep second = decide_stateful_set(set, {ready, first.create[1]});
  CHECK(second.create.empty());
  CHECK(second.remove.empty());
  CHECK(second.status["replicas"] == 2);
  CHECK(second.status["readyReplicas"] == 1);
  Json ended = first.create[1];
  ended["status"]["phase"] = "Failed";
  CHECK(decide_stateful_set(set, {ready, ended}).remove == std::vector<std::string>{"j-1"});
  set["spec"]["replicas"] = 1;
  CHECK(decide_stateful_set(set, {ready, first.create[1]}).remove ==
        std::vector<std::string>{"j-1"});
  set["spec"]["template"]["spec"]["hostname"] = "other";
  const WorkloadStep changed = decide_stateful_set(set, {ready});
  CHECK(changed.remove == std::vector<std::string>{"j-0"});
  CHECK(changed.create.empty());  // it comes when the old one is gone
  CHECK(changed.status["updatedReplicas"] == 0);
}

TEST_CASE("a run that is lost with its machine again and again is never given up") {
  Json job = job_with(R"({"backoffLimit":6,"podFailurePolicy":{"rules":[
    {"action":"FailJob","onExitCodes":{"operator":"In","values":[2]}},
    {"action":"Ignore","onPodConditions":[{"type":"DisruptionTarget","status":"True"}]}]}})");
  std::vector<Json> pods;
  for (int cut = 0; cut < 8; ++cut) {
    CAPTURE(cut);
    const std::int64_t at = now + cut * 60'000;
    const WorkloadStep step = decide_job(job, pods, 10'000, at);
    CHECK(step.create.size() == 1);
    CHECK(step.status["failed"] == 0);
    CHECK_FALSE(step.status.contains("conditions"));
    job["status"] = step.status;
    std::erase_if(pods, [&](const Json& old) {
      return std::find(step.remove.begin(), step.remove.end(), old["metadata"]["name"]) !=
             step.remove.end();
    });
    Json lost = pod("p" + std::to_string(cut), "Failed", 137, at);
    lost["status"]["conditions"] =
        Json::array({{{"type", "DisruptionTarget"}, {"status", "True"}}});
    pods.push_back(lost);
  }
  CHECK(decide_job(job, {pod("a", "Failed", 2)}, 10'000, now).status["conditions"][0]["reason"] ==
        "PodFailurePolicy");
}
