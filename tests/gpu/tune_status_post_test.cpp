// What this proves: what a TrainJob's status is told of a training, to the byte; that it is told
// the newest at a bounded rate and the end always; that nothing of it holds the training.
#include "gpu/tune_status_post.h"

#include <doctest/doctest.h>

#include <atomic>
#include <map>
#include <vector>

namespace kairo::gpu {
namespace {
using wire::RunPhase;
wire::ProgressT line(RunPhase phase, std::uint32_t step) {
  wire::ProgressT out;
  out.phase = phase;
  out.step = step;
  out.total_steps = 8;
  out.epoch = 0.5F;
  out.loss = 0.1F;
  out.learning_rate = 1e-4F;
  out.grad_norm = 2;
  out.tokens_per_second = 336;
  out.eta_ms = 2'001;
  out.at_ms = 1'764'000'000'000;
  return out;
}
std::map<std::string, std::string> variables() {
  return {{"KUBEFLOW_TRAINER_SERVER_URL", "https://127.0.0.1:1/apis/status"},
          {"KUBEFLOW_TRAINER_SERVER_CA_CERT", "/nowhere/ca.crt"},
          {"KUBEFLOW_TRAINER_SERVER_TOKEN", "/nowhere/token"}};
}
}  // namespace

TEST_CASE("the body, to the byte") {
  CHECK(
      trainer_status_json(line(RunPhase::Training, 3)) ==
      R"({"trainerStatus":{"progressPercentage":37,"estimatedRemainingSeconds":3,"metrics":[)"
      R"({"name":"step","value":"3"},{"name":"epoch","value":"0.5"},{"name":"loss","value":"0.1"},)"
      R"({"name":"learning_rate","value":"1e-04"},{"name":"grad_norm","value":"2"},)"
      R"({"name":"tokens_per_second","value":"336"}],"lastUpdatedTime":"2025-11-24T16:00:00Z"}})");
  auto first = line(RunPhase::Training, 4);  // of an attempt that goes on from step 4
  first.resumed_from = 4;
  first.eta_ms = -1;
  first.eval_loss = 0.5F;
  CHECK(trainer_status_json(first) ==
        R"({"trainerStatus":{"progressPercentage":50,"metrics":[{"name":"step","value":"4"},)"
        R"({"name":"epoch","value":"0.5"},{"name":"eval_loss","value":"0.5"}],)"
        R"("lastUpdatedTime":"2025-11-24T16:00:00Z"}})");
}
TEST_CASE("100 is said when all is done, and only then") {
  const auto begins = [](const std::string& body) { return body.substr(0, body.find(",\"m")); };
  CHECK(begins(trainer_status_json(line(RunPhase::Saving, 8))) ==
        R"({"trainerStatus":{"progressPercentage":99,"estimatedRemainingSeconds":3)");
  CHECK(begins(trainer_status_json(line(RunPhase::Done, 8))) ==
        R"({"trainerStatus":{"progressPercentage":100,"estimatedRemainingSeconds":0)");
  for (const RunPhase early : {RunPhase::Starting, RunPhase::Loading, RunPhase::Tokenizing})
    CHECK(trainer_status_json(line(early, 0)).empty());  // a resume does not fall back to 0
}
TEST_CASE("the first and the last are told, of the others the newest, and failures hold nothing") {
  std::vector<std::string> told;
  std::atomic<int> posts{0};
  {
    StatusPost post(
        [&](const std::string& body) -> Status {
          told.push_back(body);  // of the one thread that posts
          ++posts;
          return Error{Code::unavailable, "nobody listens"};
        },
        3'600'000);
    post.take(line(RunPhase::Starting, 0));
    post.take(line(RunPhase::Training, 1));
    while (posts == 0) std::this_thread::yield();
    for (std::uint32_t step = 2; step <= 8; ++step) post.take(line(RunPhase::Training, step));
    post.take(line(RunPhase::Done, 8));
  }
  REQUIRE(told.size() == 2);
  CHECK(told[0] == trainer_status_json(line(RunPhase::Training, 1)));
  CHECK(told[1] == trainer_status_json(line(RunPhase::Done, 8)));
}
TEST_CASE("only where the variables are set, only by HTTPS") {
  auto set = variables();
  const auto of = [&set](const char* name) { return set[name]; };
  CHECK(status_post_of(of) != nullptr);
  set["KUBEFLOW_TRAINER_SERVER_URL"] = "http://127.0.0.1:1/apis/status";
  CHECK(status_post_of(of) == nullptr);
  set = variables();
  set["KUBEFLOW_TRAINER_SERVER_TOKEN"] = "";
  CHECK(status_post_of(of) == nullptr);
  set.clear();
  CHECK(status_post_of(of) == nullptr);
}
}  // namespace kairo::gpu
