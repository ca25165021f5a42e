// What this proves: status says KAITO's conditions and reasons at each point of a Workspace's life.
#include "agents/watcher/status.h"

#include <doctest/doctest.h>

#include "agents/watcher/status_json.h"
#include "tests/support/facts.h"

using namespace kairo;
using namespace kairo::test;
namespace {
// "State|Type=Value/Reason ..." without ResourceReady's companions
std::string told(const wire::RecordT& r) {
  const auto s = watcher::compose(r, 1000);
  std::string out = s.state + "|";
  for (const auto& c : s.conditions)
    if (c->type != "NodesReady") out += " " + c->type + "=" + c->value + "/" + c->reason;
  return out;
}
}  // namespace

TEST_CASE("status: the life of a tuning") {
  struct Row {
    std::string name;
    wire::RecordT record;
    std::string told;
  };
  wire::PushT waiting = pushed(1);
  waiting.state = wire::PushState::Waiting;
  waiting.reason = "RegistryUnavailable";
  const std::string ok_ = " ResourceReady=True/workspaceResourceStatusSuccess";
  const Row rows[] = {
      {"just seen", record(tuning(1)),
       "Pending| ResourceReady=False/workspaceResourceStatusNotReady "
       "JobStarted=False/WorkspaceTuningJobStatusPending "
       "WorkspaceSucceeded=False/workspacePending"},
      {"resources", record(tuning(1), ready(1)),
       "Pending|" + ok_ +
           " JobStarted=False/WorkspaceTuningJobStatusPending "
           "WorkspaceSucceeded=False/workspacePending"},
      {"running", record(tuning(1), ready(1), job(1)),
       "Running|" + ok_ +
           " JobStarted=True/WorkspaceTuningJobStatusStarted "
           "WorkspaceSucceeded=False/workspacePending"},
      {"failed", record(tuning(1), ready(1), finished(1, 0)),
       "Failed|" + ok_ +
           " JobStarted=False/WorkspaceTuningJobStatusFailed "
           "WorkspaceSucceeded=False/workspaceFailed"},
      {"pushing", record(tuning(1), ready(1), finished(1, 1), artifact(1)),
       "Running|" + ok_ +
           " JobStarted=True/WorkspaceTuningJobStatusStarted "
           "WorkspaceSucceeded=False/workspacePending"},
      {"registry down",
       record(tuning(1), ready(1), finished(1, 1), artifact(1), std::move(waiting)),
       "Running|" + ok_ +
           " JobStarted=True/WorkspaceTuningJobStatusStarted "
           "WorkspaceSucceeded=False/RegistryUnavailable"},
      {"done", record(tuning(1), ready(1), finished(1, 1), artifact(1), pushed(1)),
       "Succeeded|" + ok_ +
           " JobStarted=True/WorkspaceTuningJobStatusStarted "
           "WorkspaceSucceeded=True/workspaceSucceeded"},
      {"a new revision starts over",
       record(tuning(2, "rev2"), ready(1), finished(1, 1), artifact(1), pushed(1)),
       "Pending| ResourceReady=False/workspaceResourceStatusNotReady "
       "JobStarted=False/WorkspaceTuningJobStatusPending "
       "WorkspaceSucceeded=False/workspacePending"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(told(row.record) == row.told);
  }
}

TEST_CASE("status: a failure says what, where and the remedy") {
  const auto s = watcher::compose(
      record(tuning(1), ready(1), finished(2, 0), training(wire::RunPhase::Failed, 0)), 5);
  CHECK(s.conditions.back()->message ==
        "tuning job failed: bad_data: column \"question\" is missing");
  CHECK(s.tuning->phase == "Failed");
}

TEST_CASE("status: an attempt that failed says why while the next one waits") {
  wire::PodT killed;
  killed.version = 1;
  killed.exists = true;
  killed.exit_code = 137;
  killed.container = "w";
  killed.reason = "OOMKilled";
  const auto told_of = [](wire::RecordT r) {
    return watcher::compose(r, 5).conditions.back()->message;
  };
  CHECK(told_of(record(tuning(1), ready(1), job(1), wire::PodT(killed))) ==
        "workspace has not completed yet, the tuning is started again after: w: OOMKilled: it "
        "passed its memory limit; lower per_device_train_batch_size, or use a machine with more "
        "memory");
  wire::JobT waiting = job(1);
  waiting.ready = 0;
  CHECK(told_of(record(tuning(1), ready(1), std::move(waiting), wire::PodT(killed)))
            .starts_with("workspace has not completed yet, the tuning is started again after: w: "
                         "OOMKilled"));
  CHECK(told_of(record(tuning(1), ready(1), job(1), training(wire::RunPhase::Failed, 0))) ==
        "workspace has not completed yet, the tuning is started again after: bad_data: column "
        "\"question\" is missing");
}

TEST_CASE("status: what KAITO runs, or has done, is told as its own controller would") {
  const auto of_kaito = [](auto workload) {
    workload.revision.clear();
    workload.kaito_revision = "1";
    return workload;
  };
  const std::string ok_ = " ResourceReady=True/workspaceResourceStatusSuccess";
  CHECK(told(record(tuning(1), of_kaito(job(1)))) ==
        "Running|" + ok_ +
            " JobStarted=True/WorkspaceTuningJobStatusStarted "
            "WorkspaceSucceeded=False/workspacePending");
  const auto done = record(tuning(1), of_kaito(gone(finished(2, 1))));
  CHECK(told(done) == "Succeeded|" + ok_ +
                          " JobStarted=True/WorkspaceTuningJobStatusStarted "
                          "WorkspaceSucceeded=True/workspaceSucceeded");
  CHECK(watcher::compose(done, 5).tuning->phase == "Done");
  CHECK(told(record(tuning(1), of_kaito(finished(2, 0)))).starts_with("Failed|"));
  wire::ServerT serves = of_kaito(server(1));
  serves.replicas = serves.ready_replicas = 1;
  CHECK(told(record(serving(1), std::move(serves))) ==
        "Ready|" + ok_ +
            " InferenceReady=True/WorkspaceInferenceStatusSuccess "
            "WorkspaceSucceeded=True/workspaceSucceeded");
}

TEST_CASE("status: a push Secret that lacks is said while the training goes on") {
  wire::PushT waiting = pushed(1);
  waiting.state = wire::PushState::Waiting;
  waiting.reason = "PushSecretNotFound";
  waiting.message = "Secret 'push' is not there";
  const auto s = watcher::compose(record(tuning(1), ready(1), job(1),
                                         training(wire::RunPhase::Training, 3), std::move(waiting)),
                                  5);
  CHECK(s.state == "Running");
  CHECK(s.tuning->phase == "Training");
  CHECK(s.conditions[3]->reason == "PushSecretNotFound");
  CHECK(s.conditions[3]->message == "Secret 'push' is not there");
}

TEST_CASE("status: a Job that is held back says by whom, before its first step and after") {
  wire::WorkspaceT queued = tuning(1);
  queued.queue = "team-a";
  wire::JobT held = job(1);
  held.active = held.ready = 0;
  held.suspended = true;
  const auto first = watcher::compose(record(queued, ready(1), held), 5);
  CHECK(first.state == "Pending");
  CHECK(first.tuning->phase == "Queued");
  CHECK(first.conditions[2]->message ==
        "Tuning job has not started: its Job waits in queue 'team-a' for Kueue to admit it");
  const auto later =
      watcher::compose(record(queued, ready(1), held, training(wire::RunPhase::Stopped, 7)), 5);
  CHECK(later.state == "Running");
  CHECK(later.tuning->phase == "Queued");
  CHECK(later.conditions[3]->message ==
        "workspace has not completed yet: its Job waits in queue 'team-a' for Kueue to admit it; "
        "the tuning goes on from its checkpoint then");
  const auto plain = watcher::compose(record(tuning(1), ready(1), held), 5);
  CHECK(plain.conditions[2]->message == "Tuning job has not started: its Job is suspended");
  wire::WorkspaceT paused = tuning(1);
  paused.annotations.push_back(label("kairo.dev/paused", "true"));
  const auto said =
      watcher::compose(record(paused, ready(1), held, training(wire::RunPhase::Stopped, 7)), 5);
  CHECK(said.tuning->phase == "Paused");
  CHECK(said.tuning->step == 7);
  CHECK(said.tuning->eta_seconds == -1);
  CHECK(said.tuning->tokens_per_second == 0);
  CHECK(said.conditions[3]->message ==
        "workspace has not completed yet: it is paused: remove the annotation kairo.dev/paused; "
        "the tuning goes on from its checkpoint then");
}

TEST_CASE("status: a server that does not come up has KAITO's class of the reason, and its words") {
  const auto ready_of = [](const std::string& reason, const std::string& message) {
    wire::PodT pod;
    pod.version = 1;
    pod.exists = true;
    pod.container = "s";
    pod.reason = reason;
    pod.message = message;
    const auto status = watcher::compose(record(serving(1), ready(1), std::move(pod)), 5);
    for (const auto& c : status.conditions)
      if (c->type == "InferenceReady") return c->reason + ": " + c->message;
    return std::string();
  };
  CHECK(ready_of("ImagePullBackOff", "no such image") ==
        "ImagePullError: Inference deployment is not ready: s: ImagePullBackOff: no such image");
  CHECK(ready_of("CrashLoopBackOff", "bad adapter") ==
        "ContainerCrashLoopBackOff: Inference deployment is not ready: s: CrashLoopBackOff: bad "
        "adapter");
  CHECK(ready_of("OOMKilled", "").starts_with("ContainerOOMKilled: Inference deployment is not"));
  CHECK(ready_of("ContainerCreating", "") ==
        "WorkspaceInferenceStatusPending: Inference deployment is not ready: s: ContainerCreating");
}

TEST_CASE("status: a revision that cannot be kept is told, and holds nothing up") {
  wire::TroubleT trouble;
  trouble.version = 1;
  trouble.command = "SaveRevision";
  trouble.revision = "rev1";
  trouble.code = static_cast<std::uint8_t>(Code::conflict);
  trouble.what = "revision name conflicts, the hash values are different";
  const auto s = watcher::compose(record(tuning(1), ready(1), std::move(trouble)), 5);
  CHECK(s.conditions.back()->message ==
        "workspace is initializing, tuning job has not started (last reconcile error: revision "
        "name conflicts, the hash values are different)");
}

TEST_CASE("status: lastTransitionTime stays while a condition's status stays") {
  auto r = record(tuning(1), ready(1));
  r.status = std::make_unique<wire::StatusT>(watcher::compose(r, 100'900));
  const auto later = watcher::compose(r, 900'000);
  for (const auto& c : later.conditions) CHECK(c->changed_at_ms == 100'000);  // in seconds
  runtime::absorb(r, fact(job(1)));
  for (const auto& c : watcher::compose(r, 900'000).conditions)
    CHECK(c->changed_at_ms == (c->type == "JobStarted" ? 900'000 : 100'000));
}

TEST_CASE("status: written whole, whatever bytes a message quotes") {
  wire::StatusT status;
  status.state = "Running \xff";
  const std::string patch = watcher::status_patch(status);
  CHECK(patch.find("Running \xef\xbf\xbd") != std::string::npos);
  for (const char* key :
       {"tuning", "artifact", "address", "adapters"})  // of an earlier status: taken away
    CHECK(patch.find("\"" + std::string(key) + "\":null") != std::string::npos);
}

TEST_CASE("status: rows and evaluations of a tuning") {
  auto t = training(wire::RunPhase::Training, 9);
  const auto told_of = [&] {
    std::string object = watcher::status_patch(
        watcher::compose(record(tuning(1), ready(1), job(1), wire::TrainingT(t)), 1000));
    for (auto to = object.find(":null"); to != std::string::npos; to = object.find(":null")) {
      const auto comma = object.rfind(',', to);
      object.erase(comma, to + 5 - comma);
    }
    const auto begin = object.find("\"attempt\"");
    const auto from = begin == std::string::npos ? object.find("\"tokensPerSecond\"") : begin;
    return object.substr(from, object.find('}', from) - from);
  };
  CHECK(told_of() == R"("tokensPerSecond":0.0,"etaSeconds":0)");
  t.progress->attempt = 1;
  t.progress->rows = 40;
  t.progress->held_out_rows = 10;
  t.progress->truncated_rows = 2;
  CHECK(told_of() == R"("attempt":1,"rows":40,"heldOutRows":10,"truncatedRows":2)");
  t.progress->eval_step = 8;
  t.progress->eval_loss = 1.23456f;
  CHECK(told_of() == R"("attempt":1,"rows":40,"heldOutRows":10,"truncatedRows":2,)"
                     R"("evalStep":8,"evalLoss":1.2346)");
  t.progress->best_step = 4;
  t.progress->best_eval_loss = 1.25f;
  t.progress->dropped_rows = 1;
  CHECK(told_of() == R"("attempt":1,"rows":40,"heldOutRows":10,"droppedRows":1,"truncatedRows":2,)"
                     R"("evalStep":8,"evalLoss":1.2346,"bestStep":4,"bestEvalLoss":1.25)");
  t.progress->held_out_rows = t.progress->dropped_rows = t.progress->truncated_rows = 0;
  t.progress->eval_loss = t.progress->best_eval_loss = 0;
  t.progress->device = "NVIDIA H200, compute capability 9.0, 139 GiB";
  t.progress->self_test = "all 29 calls agree with the CPU";
  CHECK(told_of() == R"("attempt":1,"rows":40,)"
                     R"("device":"NVIDIA H200, compute capability 9.0, 139 GiB",)"
                     R"("selfTest":"all 29 calls agree with the CPU")");
}

TEST_CASE("status: a training that hangs is told with what was seen") {
  wire::TrainingT t;
  t.version = 1;
  t.revision = "rev1";
  t.node = "n1";
  t.progress = std::make_unique<wire::ProgressT>();
  t.progress->phase = wire::RunPhase::Training;
  t.progress->step = 120;
  t.stalled = "no step since 2025-11-24T16:00:00Z (step 120 of 400)";
  t.stalls = 1;
  const auto status =
      watcher::compose(record(tuning(1), ready(1), planned(1), run_dir(1), job(1), t), 1'000);
  CHECK(status.tuning->phase == "Stalled");
  for (const auto& condition : status.conditions)
    if (condition->type == "WorkspaceSucceeded")
      CHECK(condition->message ==
            "workspace has not completed yet, the tuning is started again after: the training "
            "hung: no step since 2025-11-24T16:00:00Z (step 120 of 400)");
}

TEST_CASE("status: which checkpoint a lost node does not take away") {
  const auto told = [](wire::RecordT r) { return watcher::compose(r, 1000).tuning->checkpoint; };
  const auto with = [](auto... words) {
    return record(tuning(1), ready(1), planned(1), job(1), std::move(words)...);
  };
  CHECK(told(with(run_dir(1))) == "");
  CHECK(told(with(checkpoint(1, 40))) ==
        "step 40 is in the registry: localhost:5000/a:1-checkpoint-u1");
  CHECK(told(with(checkpoint(1, 40, "n1", "rev0"))) == "");
  CHECK(told(with(checkpoint(1, 40, "lost"))) ==
        "step 40 is in the registry: localhost:5000/a:1-checkpoint-u1");
  wire::CheckpointT late = checkpoint(2, 40);
  late.reason = "CheckpointNotPushed";
  late.message = "registry localhost:5000 answers 503";
  CHECK(told(with(wire::CheckpointT(late))) ==
        "step 40 is in the registry: localhost:5000/a:1-checkpoint-u1; the newest cannot be "
        "pushed: registry localhost:5000 answers 503");
  late.step = 0;
  CHECK(told(with(std::move(late))) ==
        "the newest cannot be pushed: registry localhost:5000 answers 503");
  wire::RunDirT gone = run_dir(1);
  gone.message = "the checkpoint localhost:5000/a:1-checkpoint-u1 is gone: training begins anew";
  CHECK(told(with(checkpoint(1, 40, "lost"), wire::RunDirT(gone))) == gone.message);
  CHECK(told(with(checkpoint(1, 40), artifact(1))) == "");  // it is trained: of no use any more
  const std::string patch = watcher::status_patch(watcher::compose(with(checkpoint(1, 40)), 1000));
  CHECK(patch.find(R"("checkpoint":"step 40 is in the registry)") != std::string::npos);
}

TEST_CASE("status: weights on their way, and refused") {
  wire::RunDirT dir = run_dir(1, "rev1", wire::RunDirState::Fetching);
  dir.reason = "WeightsDownloading";
  dir.message = "weights: 1.2 of 2.9 GB from https://huggingface.co/a/b";
  const auto about = [](const wire::StatusT& s, const std::string& type) {
    for (const auto& c : s.conditions)
      if (c->type == type) return c->value + " " + c->reason + ": " + c->message;
    return std::string();
  };
  const std::string said = "False WeightsDownloading: " + dir.message;
  auto s = watcher::compose(record(tuning(1), ready(1), planned(1), wire::RunDirT(dir)), 5);
  CHECK(s.tuning->phase == "Downloading");
  CHECK(about(s, "JobStarted") == said);
  CHECK(about(s, "ResourceReady").starts_with("True"));
  s = watcher::compose(record(serving(1), ready(1), planned(1), wire::RunDirT(dir)), 5);
  CHECK(about(s, "InferenceReady") == said);
  dir.state = wire::RunDirState::Failed;
  dir.reason = "WeightsRefused";
  s = watcher::compose(record(tuning(1), ready(1), planned(1), wire::RunDirT(dir)), 5);
  CHECK(s.tuning->phase == "Preparing");
  CHECK(about(s, "JobStarted").starts_with("False WeightsRefused: "));
}

TEST_CASE("status: one model on several nodes is ready when all of its pods are") {
  wire::ResourcesT granted = ready(1);
  granted.nodes = {"n2", "n1"};
  granted.places = {"n1/uid-n1", "n2/uid-n2"};
  granted.target = 2;
  wire::RunT run = planned(1);
  run.peers = {"n2/uid-n2"};
  wire::RunDirT other = run_dir(1, "rev1", wire::RunDirState::Fetching);
  other.node = "n2";
  other.reason = "WeightsDownloading";
  other.message = "weights: 1 of 4 GiB";
  wire::ServerT half = server(1);
  half.replicas = 2;
  wire::ServerT less = server(2);  // somebody scaled it down
  wire::ServerT whole = server(3);
  whole.replicas = whole.ready_replicas = 2;
  const auto told = [](const wire::RecordT& r) {
    const auto status = watcher::compose(r, 1000);
    CHECK(status.target_nodes == 2);
    CHECK(status.nodes == std::vector<std::string>{"n1", "n2"});
    for (const auto& c : status.conditions)
      if (c->type == "InferenceReady") return c->value + " " + c->reason + ": " + c->message;
    return std::string("absent");
  };
  auto r = record(serving(1), std::move(granted), std::move(run), run_dir(1));
  CHECK(told(r) == "False RunDirectoriesNotReady: waiting for the run directories of n2");
  runtime::absorb(r, fact(wire::RunDirT(other)));
  CHECK(told(r) == "False WeightsDownloading: node n2: weights: 1 of 4 GiB");
  other.version = 2;
  other.state = wire::RunDirState::Ready;
  other.message.clear();
  runtime::absorb(r, fact(std::move(other)));
  runtime::absorb(r, fact(std::move(half)));
  CHECK(told(r) ==
        "False WorkspaceInferenceStatusPending: Inference deployment is not ready: 1 of 2 pods are "
        "ready");
  runtime::absorb(r, fact(std::move(less)));
  CHECK(told(r).starts_with("False "));
  runtime::absorb(r, fact(std::move(whole)));
  CHECK(told(r) ==
        "True WorkspaceInferenceStatusSuccess: Inference has been deployed successfully");
  wire::ServerT quantised = server(4);
  quantised.replicas = quantised.ready_replicas = 2;
  quantised.weights = "Q4_1, Q8_0";
  runtime::absorb(r, fact(std::move(quantised)));
  CHECK(told(r) ==
        "True WorkspaceInferenceStatusSuccess: Inference has been deployed successfully; weights "
        "in Q4_1, Q8_0");
}
