// What this proves: status says KAITO's conditions and reasons at each point of a Workspace's life.
#include "agents/watcher/status.h"

#include <doctest/doctest.h>

#include "agents/watcher/decide.h"
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
wire::TrainingT training(wire::RunPhase phase, std::uint32_t step) {
  wire::TrainingT t;
  t.version = 1;
  t.revision = "rev1";
  t.progress = std::make_unique<wire::ProgressT>();
  t.progress->phase = phase;
  t.progress->step = step;
  t.progress->total_steps = 36;
  t.progress->message = "column \"question\" is missing";
  t.progress->code = "bad_data";
  return t;
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
  r.status = std::make_unique<wire::StatusT>(watcher::compose(r, 100));
  const auto later = watcher::compose(r, 900);
  for (const auto& c : later.conditions) CHECK(c->changed_at_ms == 100);
  runtime::absorb(r, fact(job(1)));
  for (const auto& c : watcher::compose(r, 900).conditions)
    CHECK(c->changed_at_ms == (c->type == "JobStarted" ? 900 : 100));
}

TEST_CASE("watcher: numbers may wait a second, news may not") {
  auto r = record(tuning(1), ready(1), job(1), training(wire::RunPhase::Training, 1));
  r = marked(marked(std::move(r), "revision", "rev1"), "finalizer", "on");
  r.status = std::make_unique<wire::StatusT>(watcher::compose(r, 10'000));
  r.patched_at_ms = 10'000;
  const runtime::Nodes nodes;
  CHECK(kinds(watcher::decide(r, {nodes, 10'500})) == "");
  r.training->progress->step = 2;
  const auto soon = watcher::decide(r, {nodes, 10'500});
  CHECK(kinds(soon) == "");
  CHECK(soon.wake_at_ms == 11'000);
  CHECK(kinds(watcher::decide(r, {nodes, 11'000})) == "PatchStatus AnnounceStatus");
  runtime::absorb(r, fact(finished(2, 0)));
  CHECK(kinds(watcher::decide(r, {nodes, 10'500})) == "PatchStatus AnnounceStatus");
}

TEST_CASE("watcher: a bus that is new hears the status again; the end is said once") {
  auto r = record(tuning(1), ready(1));
  r = marked(marked(std::move(r), "revision", "rev1"), "finalizer", "on");
  r.status = std::make_unique<wire::StatusT>(watcher::compose(r, 10));
  const runtime::Nodes nodes;
  r = marked(std::move(r), "announce", "bus1/0");
  CHECK(kinds(watcher::decide(r, {nodes, 20, "bus1"})) == "");
  CHECK(kinds(watcher::decide(r, {nodes, 20, ""})) == "");
  CHECK(kinds(watcher::decide(r, {nodes, 21LL * 24 * 3600 * 1000, "bus1"})) == "AnnounceStatus");
  CHECK(kinds(watcher::decide(r, {nodes, 20, "bus2"})) == "AnnounceStatus");
  runtime::absorb(r, fact(gone(tuning(9))));
  const auto end = watcher::decide(r, {nodes, 30, "bus1"});
  REQUIRE(kinds(end) == "AnnounceStatus");
  CHECK(end.marks[0].value == "gone");
  CHECK(watcher::status_event(end.commands[0], 5).find("\"dev.kairo.workspace.deleted.v1\"") !=
        std::string::npos);
  CHECK(kinds(watcher::decide(marked(std::move(r), "announce", "gone"), {nodes, 30, "bus2"})) ==
        "");
}

TEST_CASE("watcher: progress goes on when the clock is set back") {
  auto r = record(tuning(1), ready(1), job(1), training(wire::RunPhase::Training, 1));
  r = marked(marked(std::move(r), "revision", "rev1"), "finalizer", "on");
  r.status = std::make_unique<wire::StatusT>(watcher::compose(r, 3'600'000));
  r.patched_at_ms = 3'600'000;
  r.training->progress->step = 2;
  const runtime::Nodes nodes;
  CHECK(kinds(watcher::decide(r, {nodes, 1'000})) == "PatchStatus AnnounceStatus");
}

TEST_CASE("status: written for one uid, whatever bytes a message quotes") {
  wire::CommandT c;
  c.uid = "u1";
  c.ns = "default";
  c.name = "w";
  wire::PatchStatusT patch;
  patch.status = std::make_unique<wire::StatusT>();
  patch.status->state = "Running \xff";
  c.body.Set(std::move(patch));
  const std::string object = watcher::status_object(c);
  CHECK(object.find("\"uid\":\"u1\"") != std::string::npos);
  CHECK(object.find("Running \xef\xbf\xbd") != std::string::npos);
}

TEST_CASE("status: rows and evaluations of a tuning") {
  auto t = training(wire::RunPhase::Training, 9);
  const auto told_of = [&] {
    wire::CommandT c;
    wire::PatchStatusT patch;
    patch.status = std::make_unique<wire::StatusT>(
        watcher::compose(record(tuning(1), ready(1), job(1), wire::TrainingT(t)), 1000));
    c.body.Set(std::move(patch));
    const std::string object = watcher::status_object(c);
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
}

TEST_CASE("watcher: the finalizer goes when nothing is left, not before") {
  const runtime::Nodes nodes;
  wire::ResourcesT released = ready(2);
  released.state = wire::ResourcesState::Released;
  const auto base = [&] {
    return record(leaving(tuning(3)), wire::ResourcesT(released), planned(2, "rev1", false),
                  run_dir(2, "rev1", wire::RunDirState::Removed));
  };
  CHECK(kinds(watcher::decide(base(), {nodes, 1})) == "SetFinalizer");
  auto with_job = base();
  runtime::absorb(with_job, fact(job(1)));
  CHECK(kinds(watcher::decide(with_job, {nodes, 1})) == "PatchStatus AnnounceStatus");
  auto with_dir =
      record(leaving(tuning(3)), wire::ResourcesT(released), planned(2, "rev1", false), run_dir(2));
  CHECK(kinds(watcher::decide(with_dir, {nodes, 1})) == "PatchStatus AnnounceStatus");
  auto unheard = record(leaving(tuning(3)));
  CHECK(kinds(watcher::decide(unheard, {nodes, 1})) == "PatchStatus AnnounceStatus");
}
