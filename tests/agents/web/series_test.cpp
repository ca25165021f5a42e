// What this proves: the series of each Workspace, literally; what is over shows no last loss for
// ever.
#include "agents/web/series.h"

#include <doctest/doctest.h>

using namespace kairo;

TEST_CASE("series") {
  const std::string two = R"([
    {"metadata":{"namespace":"d","name":"pip","uid":"u1"},
     "tuning":{"preset":{"name":"smollm2"},"method":"qlora"},
     "status":{"state":"Succeeded","conditions":[{"type":"WorkspaceSucceeded","status":"True",
       "reason":"workspaceSucceeded","lastTransitionTime":"2025-11-24T16:00:00Z"}]}},
    {"metadata":{"namespace":"d","name":"s","uid":"u2"},"inference":{"preset":{"name":"p\"x"}},
     "status":{"state":"Pending","conditions":[{"type":"ResourceReady","status":"False",
       "reason":"InsufficientMemory"}]}}])";
  const std::map<std::string, std::string> progress{
      {"u1",
       R"({"step":3,"total_steps":36,"loss":0.5,"tokens":900,"tokens_per_second":300,"eta_ms":1500,"at_ms":1764000000000})"}};
  const std::string always =
      "# HELP kairo_workspace_info 1 for each Workspace.\n"
      "# TYPE kairo_workspace_info gauge\n"
      "kairo_workspace_info{namespace=\"d\",name=\"pip\",preset=\"smollm2\",method=\"qlora\"} 1\n"
      "kairo_workspace_info{namespace=\"d\",name=\"s\",preset=\"p\\\"x\",method=\"inference\"} 1\n"
      "# HELP kairo_workspace_state 1 for the state that it is in.\n"
      "# TYPE kairo_workspace_state gauge\n"
      "kairo_workspace_state{namespace=\"d\",name=\"pip\",state=\"Succeeded\"} 1\n"
      "kairo_workspace_state{namespace=\"d\",name=\"s\",state=\"Pending\"} 1\n"
      "# HELP kairo_workspace_waiting 1 while it waits, by the reason of its condition.\n"
      "# TYPE kairo_workspace_waiting gauge\n"
      "kairo_workspace_waiting{namespace=\"d\",name=\"s\",reason=\"InsufficientMemory\"} 1\n";
  const std::string of = "{namespace=\"d\",name=\"pip\"} ";
  const std::int64_t end_ms = 1764000000000;
  CHECK(web::series_of(two, progress, end_ms + 600'001) == always);
  CHECK(web::series_of(two, progress, end_ms + 600'000) ==
        always +
            "# HELP kairo_tuning_step Optimizer steps that are done.\n"
            "# TYPE kairo_tuning_step gauge\nkairo_tuning_step" +
            of +
            "3\n# HELP kairo_tuning_planned_steps Optimizer steps in all.\n"
            "# TYPE kairo_tuning_planned_steps gauge\nkairo_tuning_planned_steps" +
            of +
            "36\n# HELP kairo_tuning_loss Mean loss of the last step.\n"
            "# TYPE kairo_tuning_loss gauge\nkairo_tuning_loss" +
            of +
            "0.5\n# HELP kairo_tuning_tokens_total Tokens that were trained on.\n"
            "# TYPE kairo_tuning_tokens_total counter\nkairo_tuning_tokens_total" +
            of +
            "900\n# HELP kairo_tuning_tokens_per_second Of the last steps.\n"
            "# TYPE kairo_tuning_tokens_per_second gauge\nkairo_tuning_tokens_per_second" +
            of +
            "300\n# HELP kairo_tuning_eta_seconds To the end of training.\n"
            "# TYPE kairo_tuning_eta_seconds gauge\nkairo_tuning_eta_seconds" +
            of +
            "1.5\n# HELP kairo_tuning_last_progress_timestamp_seconds Unix time of the last step.\n"
            "# TYPE kairo_tuning_last_progress_timestamp_seconds gauge\n"
            "kairo_tuning_last_progress_timestamp_seconds" +
            of + "1764000000\n");
  CHECK(web::series_of("no JSON", progress, 0).empty());
  CHECK(web::series_of("[]", progress, 0).empty());
}
