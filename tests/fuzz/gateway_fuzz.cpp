// What this proves: whatever a client of OpenAI's API, a file of rows or a cluster sends, the
// gateway's decoders answer and do not crash.
#include <doctest/doctest.h>

#include "agents/gateway/chat_route.h"
#include "agents/gateway/form.h"
#include "agents/gateway/job_request.h"
#include "agents/gateway/job_view.h"
#include "agents/gateway/keys.h"
#include "agents/gateway/rows.h"
#include "tests/fuzz/fuzz.h"

using namespace kairo;
using namespace kairo::gateway;
namespace {
const std::string form =
    "--B\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nfine-tune\r\n"
    "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n"
    "Content-Type: application/octet-stream\r\n\r\n{}\r\n--B--\r\n";
const std::string row =
    R"({"messages": [{"role": "user", "content": [{"type": "text", "text": "q"}]}, {"role": "assistant", "content": null, "weight": 1, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}], "tools": [{"type": "function", "function": {"name": "f"}}]})";
const std::string preference =
    R"({"input": {"messages": [{"role": "user", "content": "q"}]}, "preferred_output": [{"role": "assistant", "content": "a"}], "non_preferred_output": [{"role": "assistant", "content": "b"}]})";
const std::string job =
    R"({"metadata": {"name": "ftjob-abcdefghijklmnop12345678", "generation": 1, "creationTimestamp": "2026-11-30T10:00:00Z", "labels": {"kairo.dev/openai": "job"}, "annotations": {"kairo.dev/openai-seed": "7", "kairo.dev/openai-hyperparameters": "{\"n_epochs\":2}", "kairo.dev/openai-metadata": "{}"}}, "tuning": {"preset": {"name": "phi-4"}, "output": {"image": "r/a:1"}}, "inference": {"preset": {"name": "phi-4"}, "adapters": [{"source": {"name": "a", "image": "r/a:1"}}]}, "status": {"state": "Succeeded", "address": "1:2", "tuning": {"totalSteps": 3, "etaSeconds": 2, "loss": 0.5}, "conditions": [{"type": "InferenceReady", "status": "True", "observedGeneration": 1, "message": "m", "lastTransitionTime": "2026-11-30T10:00:00Z"}]}})";
const std::string request =
    R"({"model": "phi-4", "training_file": "f", "suffix": "s", "seed": 1, "metadata": {"k": "v"}, "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": "auto", "batch_size": 2, "learning_rate_multiplier": 0.5}}}, "hyperparameters": {"n_epochs": 1}})";

void feed_form(const std::string& bytes) {
  for (const std::size_t cut : {std::size_t{1}, std::size_t{7}, bytes.size() + 1}) {
    std::size_t seen = 0;
    FormReader reader(
        "B", [](const FormPart&) { return ok(); },
        [&](std::string_view part) {
          seen += part.size();
          return ok();
        });
    Status fed = ok();
    for (std::size_t at = 0; at < bytes.size() && fed.ok(); at += cut)
      fed = reader.feed(std::string_view(bytes).substr(at, cut));
    CHECK(seen <= bytes.size());
  }
  (void)form_boundary(bytes);
}
void feed_workspace(const std::string& bytes) {
  const Json workspace = Json::parse(bytes, nullptr, false);
  if (workspace.is_discarded()) return;
  const JobState state{workspace, points_in(bytes)};
  (void)job_json(state, 1);
  (void)job_events(state);
  (void)job_checkpoints(state);
  const Workspaces all{{"a", workspace}, {"ftjob-abcdefghijklmnop12345678", workspace}};
  for (const std::string model : {"phi-4", "a", "ft:phi-4:kairo::12345678", ""})
    (void)route_of(model, all, false);
  (void)models_of(all);
}
}  // namespace

TEST_CASE("the gateway survives all bytes") {
  const std::vector<test::FuzzTarget> targets{
      {"a form", {form, "multipart/form-data; boundary=\"a b\""}, feed_form},
      {"rows",
       {row, preference, row + "\n" + row + "\n", R"({"prompt": "p", "completion": "c"})"},
       [](const std::string& b) {
         RowsCheck check;
         check.feed(b.substr(0, b.size() / 2));
         check.feed(b.substr(b.size() / 2));
         (void)fault_of(check.finish(), "supervised", "training", "file-a");
       }},
      {"a job's request",
       {request},
       [](const std::string& b) {
         Request asked;
         asked.read = [&](const Bytes& take) { return take(b); };
         const auto body = json_body(asked, 1 << 20);
         if (body.ok()) (void)parse_job(body.value());
       }},
      {"a Workspace", {job}, feed_workspace},
      {"steps",
       {"{\"phase\":\"Training\",\"step\":1,\"total_steps\":2,\"loss\":0.5,\"at_ms\":1}\n"},
       [](const std::string& b) { (void)result_csv(points_in(b)); }},
      {"a path and its query",
       {"/v1/models/a%2Fb?limit=2&metadata%5Bk%5D=v&after=c&order=asc"},
       [](const std::string& b) {
         (void)split_path(b);
         (void)page({{{"id", "c"}}, {{"id", "d"}}}, parse_query(b), 20, 100);
       }},
      {"keys",
       {"sk-0123456789abcdef a\n# b\n"},
       [](const std::string& b) {
         std::string owner;
         const auto keys = Keys::parse(b);
         if (keys.ok()) (void)keys.value().may(b, owner);
       }},
      {"an answer's model",
       {R"({"model":"a","choices":[]})"},
       [](const std::string& b) { (void)renamed(b, "a", "aa"); }},
  };
  CHECK(test::fuzz(targets) > 0);
}
