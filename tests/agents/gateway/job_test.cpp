// What this proves: a request becomes a Workspace, a Workspace becomes a job, events, checkpoints
// and a result, all in literals.
#include <doctest/doctest.h>

#include "agents/gateway/job_objects.h"
#include "agents/gateway/job_request.h"
#include "agents/gateway/job_view.h"

using namespace kairo::gateway;
namespace {
const std::string the_job = "ftjob-abcdefghijklmnop12345678";
Json parsed(const char* text) {
  return Json::parse(text);
}
std::string refusal(const char* body) {
  const auto job = parse_job(parsed(body));
  return job.ok() ? "" : job.error().param + ": " + job.error().message;
}
NewJob new_job() {
  NewJob job;
  job.id = the_job;
  job.request = parse_job(parsed(R"({"model": "smollm2-135m-instruct", "training_file": "file-a1",
    "suffix": "pip", "metadata": {"k": "v"}, "hyperparameters": {"n_epochs": 2}})"))
                    .value();
  job.settings = resolved(job.request.asked, 96, 134515008);
  job.seed = 7;
  job.made_ms = 1764500000123;
  job.data_url = "http://127.0.0.1:1/v1/files/file-a1/rows.jsonl?token=t";
  job.request_digest = "d1";
  return job;
}
const Place the_place{"default", "localhost:5000/openai", "kairo-local-registry", ""};
JobState state(const char* status) {
  JobState out{Json::parse(job_workspace(the_place, new_job()).json), {}};
  out.workspace["metadata"]["creationTimestamp"] = "2026-11-30T10:00:00Z";
  if (*status != 0) out.workspace["status"] = Json::parse(status);
  return out;
}
const char* succeeded = R"({"state": "Succeeded", "tuning": {"totalSteps": 24, "loss": 0.5},
  "conditions": [{"type": "JobStarted", "status": "True",
                  "lastTransitionTime": "2026-11-30T10:00:05Z"},
                 {"type": "WorkspaceSucceeded", "status": "True",
                  "lastTransitionTime": "2026-11-30T10:01:00Z"}]})";
}  // namespace

TEST_CASE("what a request may not say") {
  struct Row {
    const char *name, *body, *wrong;
  };
  const Row rows[] = {
      {"no model", R"({"training_file": "f"})", "model: model is missing"},
      {"no file", R"({"model": "phi-4"})", "training_file: training_file is missing"},
      {"a fine-tuned model", R"({"model": "ft:a:b::c", "training_file": "f"})",
       "model: model ft:a:b::c is a fine-tuned one; a training begins at a base model here"},
      {"another's model", R"({"model": "gpt-4o-mini", "training_file": "f"})",
       "model: model gpt-4o-mini does not exist or is not tuned here; GET /v1/models lists those "
       "that are"},
      {"a validation file", R"({"model": "phi-4", "training_file": "f", "validation_file": "g"})",
       ""},
      {"its own validation", R"({"model": "phi-4", "training_file": "f", "validation_file": "f"})",
       "validation_file: validation_file is the training file; rows that were trained on say "
       "nothing"},
      {"dpo", R"({"model": "phi-4", "training_file": "f", "method": {"type": "dpo"}})",
       "method: method dpo is not trained by this server; use supervised, with chat rows of the "
       "preferred answers"},
      {"51 epochs",
       R"({"model": "phi-4", "training_file": "f", "hyperparameters": {"n_epochs": 51}})",
       "hyperparameters.n_epochs: hyperparameters.n_epochs must be \"auto\" or a number from 1 to "
       "50"},
      {"a multiplier of 0",
       R"({"model": "phi-4", "training_file": "f", "method": {"type": "supervised", "supervised":
          {"hyperparameters": {"learning_rate_multiplier": 0}}}})",
       "hyperparameters.learning_rate_multiplier: hyperparameters.learning_rate_multiplier must be "
       "\"auto\" or a number above 0"},
      {"an empty suffix", R"({"model": "phi-4", "training_file": "f", "suffix": ""})",
       "suffix: suffix must have 1 to 64 characters"},
      {"a suffix with a colon", R"({"model": "phi-4", "training_file": "f", "suffix": "a:b"})",
       "suffix: suffix must not have : or control characters"},
      {"metadata of numbers", R"({"model": "phi-4", "training_file": "f", "metadata": {"k": 1}})",
       "metadata: metadata has a value that is no text of at most 512 characters: k"},
      {"a negative seed", R"({"model": "phi-4", "training_file": "f", "seed": -1})",
       "seed: seed must be a number from 0 to 2147483647"},
      {"nulls are as absent", R"({"model": "phi-4", "training_file": "f", "suffix": null, "seed":
          null, "hyperparameters": null, "method": null, "metadata": null, "integrations": null,
          "validation_file": null})",
       ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(refusal(row.body) == row.wrong);
  }
}
TEST_CASE("auto becomes numbers") {
  struct Row {
    std::int64_t rows, parameters, epochs, batch;
    double multiplier;
  };
  for (const Row& row : {Row{10, 1'000'000, 10, 1, 2.5}, Row{50, 1'000'000, 6, 4, 2.5},
                         Row{96, 134'515'008, 4, 8, 2.5}, Row{5000, 7'000'000'000, 3, 8, 1}}) {
    CAPTURE(row.rows);
    const Resolved out = resolved({}, row.rows, row.parameters);
    CHECK(out.n_epochs == row.epochs);
    CHECK(out.batch_size == row.batch);
    CHECK(out.learning_rate_multiplier == row.multiplier);
  }
  const Resolved said = resolved({5, 3, 0.5}, 96, 1);
  CHECK(said.n_epochs == 5);
  CHECK(said.batch_size == 3);
  CHECK(said.learning_rate_multiplier == 0.5);
}
TEST_CASE("a job as a Workspace and its settings") {
  const auto workspace = job_workspace(the_place, new_job());
  CHECK(workspace.ref.name == the_job);
  CHECK(Json::parse(workspace.json) == parsed(R"({
    "apiVersion": "kaito.sh/v1beta1", "kind": "Workspace",
    "metadata": {"name": "ftjob-abcdefghijklmnop12345678", "namespace": "default",
      "labels": {"kairo.dev/openai": "job"},
      "annotations": {
        "kairo.dev/openai-made-ms": "1764500000123",
        "kairo.dev/openai-metadata": "{\"k\":\"v\"}",
        "kairo.dev/openai-request": "d1",
        "kairo.dev/openai-training-file": "file-a1",
        "kairo.dev/openai-seed": "7",
        "kairo.dev/openai-asked": "{\"n_epochs\":2,\"batch_size\":\"auto\",\"learning_rate_multiplier\":\"auto\"}",
        "kairo.dev/openai-hyperparameters": "{\"n_epochs\":2,\"batch_size\":8,\"learning_rate_multiplier\":2.5}",
        "kairo.dev/openai-suffix": "pip"}},
    "resource": {"labelSelector": {"matchLabels": {"kubernetes.io/os": "linux"}}},
    "tuning": {"preset": {"name": "smollm2-135m-instruct"}, "method": "qlora",
      "config": "ftjob-abcdefghijklmnop12345678",
      "input": {"urls": ["http://127.0.0.1:1/v1/files/file-a1/rows.jsonl?token=t"]},
      "output": {"image": "localhost:5000/openai/ftjob-abcdefghijklmnop12345678:1",
        "imagePushSecret": "kairo-local-registry"}}})"));
  const Json settings = Json::parse(job_settings(the_place, new_job()).json);
  CHECK(settings["data"]["training_config.yaml"] ==
        "training_config:\n"
        "  QuantizationConfig:\n"
        "    load_in_4bit: true\n"
        "    bnb_4bit_quant_type: nf4\n"
        "    bnb_4bit_use_double_quant: true\n"
        "  LoraConfig:\n"
        "    r: 16\n"
        "    lora_alpha: 32\n"
        "    lora_dropout: 0.0\n"
        "    target_modules: all-linear\n"
        "  TrainingArguments:\n"
        "    num_train_epochs: 2\n"
        "    per_device_train_batch_size: 8\n"
        "    learning_rate: 0.0005\n"
        "    lr_scheduler_type: linear\n"
        "    warmup_steps: 5\n"
        "    seed: 7\n"
        "  DatasetConfig:\n"
        "    train_test_split: 1\n");
}
TEST_CASE("a validation file is the Workspace's second one, evaluated after every epoch") {
  NewJob job = new_job();
  job.request.validation_file = "file-v";
  job.validation_url = "http://127.0.0.1:1/v1/files/file-v/validation.jsonl?token=t";
  const Json object = Json::parse(job_workspace(the_place, job).json);
  CHECK(object["tuning"]["input"]["urls"] ==
        Json::array({job.data_url, "http://127.0.0.1:1/v1/files/file-v/validation.jsonl?token=t"}));
  CHECK(object["metadata"]["annotations"]["kairo.dev/openai-validation-file"] == "file-v");
  const std::string settings =
      Json::parse(job_settings(the_place, job).json)["data"]["training_config.yaml"]
          .get<std::string>();
  CHECK(
      settings.ends_with("    seed: 7\n"
                         "    eval_strategy: epoch\n"
                         "  DatasetConfig:\n"
                         "    validation_file: validation.jsonl\n"));
  CHECK(job_json(JobState{object, {}}, 0)["validation_file"] == "file-v");
}
TEST_CASE("a Workspace as a job") {
  const Json fresh = job_json(state(""), 1764500000);
  CHECK(fresh["status"] == "validating_files");
  CHECK(fresh["hyperparameters"] ==
        parsed(R"({"n_epochs": 2, "batch_size": "auto", "learning_rate_multiplier": "auto"})"));
  JobState done = state(succeeded);
  done.points = {{1, 24, 100, 1764496810000, 2.5}, {24, 24, 2400, 1764496858000, 0.51234567}};
  CHECK(job_json(done, 0) == parsed(R"({
    "id": "ftjob-abcdefghijklmnop12345678", "object": "fine_tuning.job",
    "created_at": 1796032800, "finished_at": 1796032860, "model": "smollm2-135m-instruct",
    "fine_tuned_model": "ft:smollm2-135m-instruct:kairo:pip:12345678",
    "organization_id": "org-kairo", "status": "succeeded", "training_file": "file-a1",
    "validation_file": null, "result_files": ["file-rabcdefghijklmnop12345678"],
    "trained_tokens": 2400, "error": {"code": null, "message": null, "param": null},
    "hyperparameters": {"n_epochs": 2, "batch_size": 8, "learning_rate_multiplier": 2.5},
    "seed": 7, "estimated_finish": null, "integrations": [], "metadata": {"k": "v"},
    "method": {"type": "supervised", "supervised": {"hyperparameters":
      {"n_epochs": 2, "batch_size": 8, "learning_rate_multiplier": 2.5}}},
    "user_provided_suffix": "pip"})"));
}
TEST_CASE("the states of a Workspace in OpenAI's words") {
  CHECK(job_status(state("").workspace) == "validating_files");
  CHECK(job_status(state(R"({"state": "Pending"})").workspace) == "queued");
  CHECK(job_status(state(R"({"state": "Running"})").workspace) == "running");
  CHECK(job_status(state(succeeded).workspace) == "succeeded");
  CHECK(job_status(state(R"({"state": "Failed"})").workspace) == "failed");
  JobState leaving = state(R"({"state": "Running"})");
  JobState paused = state(R"({"state": "Running"})");
  paused.workspace["metadata"]["annotations"]["kairo.dev/paused"] = "true";
  CHECK(job_status(paused.workspace) == "paused");
  leaving.workspace["metadata"]["deletionTimestamp"] = "2026-11-30T10:00:00Z";
  CHECK(job_status(leaving.workspace) == "cancelled");
  const Json running =
      job_json(state(R"({"state": "Running", "tuning": {"etaSeconds": 30}})"), 1000);
  CHECK(running["estimated_finish"] == 1030);
  const Json failed = job_json(state(R"({"state": "Failed", "conditions": [{"type":
    "WorkspaceSucceeded", "status": "False", "message": "tuning job failed: bad_data: row 3"}]})"),
                               0);
  CHECK(failed["error"] == parsed(R"({"code": "invalid_training_file",
    "message": "bad_data: row 3", "param": "training_file"})"));
}
TEST_CASE("events are newest first, checkpoints and the result are the last step's") {
  JobState done = state(succeeded);
  done.points = points_in(
      "{\"phase\": \"Training\", \"step\": 1, \"total_steps\": 24, \"loss\": 2.5, \"at_ms\": "
      "5000}\n"
      "torn {\n"
      "{\"phase\": \"Training\", \"step\": 24, \"total_steps\": 24, \"loss\": 0.5, \"tokens\": 9}\n"
      "{\"phase\": \"Done\", \"step\": 24, \"total_steps\": 24, \"loss\": 0.0}\n");
  CHECK(done.points.size() == 2);
  std::string seen;
  for (const Json& event : job_events(done))
    seen += event["id"].get<std::string>().substr(33) + " " + event["message"].get<std::string>() +
            "\n";
  CHECK(seen ==
        "z1 The job is completed\n"
        "z0 The fine-tuned model is ft:smollm2-135m-instruct:kairo:pip:12345678\n"
        "s000000024 Step 24 of 24: training loss 0.5000\n"
        "s000000001 Step 1 of 24: training loss 2.5000\n"
        "c0 The training has started\n"
        "a2 Training file file-a1 is good; the job is queued\n"
        "a1 Training file file-a1 is being checked\n"
        "a0 Fine-tuning job ftjob-abcdefghijklmnop12345678 was created\n");
  CHECK(job_events(done)[3]["data"] == parsed(R"({"step": 1, "train_loss": 2.5, "total_steps": 24,
                   "train_mean_token_accuracy": null})"));
  CHECK(job_checkpoints(done).at(0)["step_number"] == 24);
  CHECK(job_checkpoints(done).at(0)["fine_tuned_model_checkpoint"] ==
        "ft:smollm2-135m-instruct:kairo:pip:12345678");
  CHECK(result_csv(done.points) ==
        "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n"
        "1,2.5,,,\n24,0.5,,,\n");
  CHECK(job_of_result(result_file_id(the_job)) == the_job);
  CHECK(job_of_result("file-a1") == "");
}
TEST_CASE("what an evaluation has shown stands at its step") {
  JobState done = state(succeeded);
  done.points =
      points_in(R"({"phase": "Training", "step": 1, "total_steps": 2, "loss": 2.5})"
                "\n"
                R"({"phase": "Training", "step": 2, "total_steps": 2, "loss": 0.5, "eval_step": 2,)"
                R"( "eval_loss": 0.75})"
                "\n"
                R"({"phase": "Done", "step": 2, "total_steps": 2, "loss": 0.5, "eval_step": 2,)"
                R"( "eval_loss": 0.75})");
  CHECK(result_csv(done.points).ends_with("1,2.5,,,\n2,0.5,,0.75,\n"));
  CHECK(job_checkpoints(done).at(0)["metrics"] ==
        parsed(R"({"step": 2, "train_loss": 0.5, "valid_loss": 0.75, "full_valid_loss": 0.75})"));
  const Json last = job_events(done)[2], first = job_events(done)[3];
  CHECK(last["message"] == "Step 2 of 2: training loss 0.5000, validation loss 0.7500");
  CHECK(last["data"]["valid_loss"] == 0.75);
  CHECK_FALSE(first["data"].contains("valid_loss"));
}
TEST_CASE("what a waiting job says") {
  const Json event = job_events(state(R"({"state": "Pending", "conditions": [{"type":
    "ResourceReady", "status": "False", "message": "no node has a GPU"}]})"))[0];
  CHECK(event["level"] == "warn");
  CHECK(event["message"] == "It waits: no node has a GPU");
}
TEST_CASE("ids") {
  CHECK(is_job_id(the_job));
  for (const char* other : {"", "ftjob-", "ftjob-abc", "ftjob-ABCDEFGHIJKLMNOP12345678",
                            "file-abcdefghijklmnop12345678", "ftjob-abcdefghijklmnop1234567/"})
    CHECK_FALSE(is_job_id(other));
  CHECK(server_name("smollm2-135m-instruct") == "openai-smollm2-135m-instruct");
  CHECK(server_name("Qwen/Qwen3.5-4B") == "openai-qwen-qwen3-5-4b");
  CHECK(server_name(std::string(80, 'a')).size() <= 52);
}
