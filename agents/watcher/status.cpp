// agents/watcher/status.cpp - resources -> run directory -> Job -> training -> push, told in order.
#include "agents/watcher/status.h"

#include <algorithm>
#include <string>

#include "agents/runtime/decision.h"
#include "agents/watcher/adapter_words.h"

namespace kairo::watcher {
namespace {
const std::string yes = "True", no = "False";

// Whether one of these says so: what was told last, and what the object shows (the same, unless the
// store was lost or somebody else wrote).
template <class Says>
bool was_told(const wire::RecordT& record, Says says) {
  return (record.status && says(*record.status)) ||
         (record.status_seen && says(*record.status_seen));
}

class Story {
 public:
  explicit Story(const wire::RecordT& record) : r_(record), revision_(record.workspace->revision) {}

  Verdict claims() const {
    const auto* x = told();
    if (x == nullptr) return {no, "NodeClaimNotReady", "Ready NodeClaims are not enough"};
    if (!x->claim_reason.empty()) return {no, x->claim_reason, x->claim_message};
    return {yes, "NodeClaimsReady", "Enough NodeClaims are ready"};
  }
  Verdict nodes() const {
    if (is_ready()) {
      const std::string words = told() == nullptr ? "" : told()->node_message;
      return {yes, "NodesReady", words.empty() ? "Enough Nodes are ready" : words};
    }
    if (const auto* x = told(); x != nullptr && !x->node_reason.empty())
      return {no, x->node_reason, x->node_message};
    const Verdict why = resources();
    return {no, "NodeNotReady", "Not enough Nodes are ready: " + why.message};
  }
  Verdict resources() const {
    if (is_ready()) return {yes, "workspaceResourceStatusSuccess", "workspace resource is ready"};
    const auto* x = r_.resources.get();
    const bool told = x != nullptr && x->revision == revision_ && !x->reason.empty();
    if (told) return {no, x->reason, x->message};
    if (x != nullptr && x->state == wire::ResourcesState::Released && r_.workspace->deleting)
      return {no, "workspaceResourceStatusNotReady", "the workspace has given up its node"};
    return {no, "workspaceResourceStatusNotReady", "waiting for the provisioner's word"};
  }
  const wire::ResourcesT* told() const {
    return r_.resources && r_.resources->revision == revision_ ? r_.resources.get() : nullptr;
  }
  bool is_ready() const {  // what KAITO has started has what it needs
    const bool is_kaitos = (runtime::is_kaitos(r_, r_.job) && r_.job->exists) ||
                           (runtime::is_kaitos(r_, r_.server) && r_.server->exists) ||
                           runtime::has_kaito_done(r_);
    return is_kaitos || (r_.resources && r_.resources->state == wire::ResourcesState::Ready &&
                         r_.resources->revision == revision_);
  }
  const wire::JobT* job() const {
    const bool is_ours = r_.job && r_.job->revision == revision_;
    const bool counts = is_ours || runtime::is_kaitos(r_, r_.job);
    return counts && r_.job->exists ? r_.job.get() : nullptr;
  }
  // Of the workload that is there; another one with its label and annotation tells nothing.
  const wire::PodT* pod() const {
    const wire::PodT* pod = r_.pod.get();
    if (pod == nullptr || pod->owner.empty()) return pod;
    const bool is_ours =
        (r_.job && r_.job->uid == pod->owner) || (r_.server && r_.server->uid == pod->owner);
    return is_ours ? pod : nullptr;
  }
  const wire::ProgressT* progress() const {
    const wire::TrainingT* training = runtime::training_of(r_);
    return training != nullptr && training->revision == revision_ ? training->progress.get()
                                                                  : nullptr;
  }
  const wire::ArtifactT* artifact() const { return runtime::artifact_of(r_); }
  const wire::PushT* push() const {
    const wire::PushT* push = runtime::push_of(r_);
    return push == nullptr || push->state == wire::PushState::Idle ? nullptr : push;
  }
  bool has_started() const {
    const auto* j = job();
    if (had_started())
      return true;  // a pod that died before its first step has started all the same
    return runtime::is_trained(r_) ||
           (j != nullptr && (j->succeeded > 0 || j->ready > 0 || progress() != nullptr));
  }
  bool had_started() const {
    return was_told(r_, [&](const auto& told) {
      return std::any_of(told.conditions.begin(), told.conditions.end(), [&](const auto& c) {
        return c->type == "JobStarted" && c->value == yes &&
               c->generation == r_.workspace->generation;
      });
    });
  }
  bool has_failed() const {
    if (runtime::is_pushed(r_)) return false;
    const auto* j = job();
    const bool without_adapter = artifact() != nullptr && !artifact()->problem.empty();
    return (j != nullptr && j->finished && j->succeeded == 0) || without_adapter;
  }
  bool is_suspended() const { return job() != nullptr && job()->suspended && !job()->finished; }
  std::string suspension() const {
    if (runtime::is_paused(*r_.workspace))
      return std::string("it is paused: remove the annotation ") + runtime::paused;
    const std::string& queue = r_.workspace->queue;
    return queue.empty() ? "its Job is suspended"
                         : "its Job waits in queue '" + queue + "' for Kueue to admit it";
  }
  bool wants_image() const { return !r_.workspace->tuning->output->image.empty(); }
  bool has_succeeded() const {
    const auto* a = artifact();
    return runtime::is_pushed(r_) || runtime::has_kaito_done(r_) ||
           (a != nullptr && a->problem.empty() && !wants_image());
  }
  std::string failure() const;
  std::string stalled() const;  // it makes no step: what was seen; or empty
  std::string retry() const;    // why the last attempt of a Job that goes on has failed; or empty
  Verdict job_started() const;
  Verdict tuning_succeeded() const;
  Verdict inference_ready() const;
  std::string phase() const;
  std::string checkpoint() const;  // that a lost node does not take away; "" = none is wanted
  Verdict waiting() const;         // why the Job has not started although the resources are there

 private:
  const wire::RecordT& r_;
  const std::string& revision_;
};

std::string Story::failure() const {
  if (const auto* a = artifact(); a != nullptr && !a->problem.empty()) return a->problem;
  const auto* p = progress();
  if (p != nullptr && p->phase == wire::RunPhase::Failed && !p->message.empty())
    return p->code + ": " + p->message;
  if (pod() != nullptr && !pod()->reason.empty()) return words_of(*pod(), r_.resources.get());
  return job() != nullptr ? job()->message : "";
}

std::string Story::stalled() const {
  const wire::TrainingT* training = runtime::training_of(r_);
  return training != nullptr && training->revision == revision_ ? training->stalled : "";
}

std::string Story::retry() const {
  if (const std::string why = stalled(); !why.empty()) return "the training hung: " + why;
  const auto* p = progress();
  if (p != nullptr && p->phase == wire::RunPhase::Failed && !p->message.empty())
    return p->code + ": " + p->message;
  const bool has_failed_pod = pod() != nullptr && pod()->exists && pod()->exit_code != 0;
  return has_failed_pod ? words_of(*pod(), r_.resources.get()) : "";
}

Verdict Story::waiting() const {
  const std::string pending = "WorkspaceTuningJobStatusPending";
  if (!is_ready()) return {no, pending, "Tuning job has not started"};  // no node: said elsewhere
  if (r_.run && !r_.run->message.empty()) return {no, r_.run->reason, r_.run->message};
  if (const Verdict why = unprepared(r_); !why.reason.empty()) return why;
  if (is_suspended()) return {no, pending, "Tuning job has not started: " + suspension()};
  if (pod() != nullptr && pod()->exists && !pod()->reason.empty())
    return {no, pending, "Tuning job has not started: " + words_of(*pod(), r_.resources.get())};
  return {no, pending, "Tuning job has not started"};
}

Verdict Story::job_started() const {
  if (has_failed()) {
    const std::string why = failure();
    return {no, "WorkspaceTuningJobStatusFailed",
            why.empty() ? "tuning job failed" : "tuning job failed: " + why};
  }
  if (has_started()) return {yes, "WorkspaceTuningJobStatusStarted", "Tuning job has started"};
  if (!is_ready()) return {no, "WorkspaceTuningJobStatusPending", "Tuning job has not started"};
  return waiting();
}

Verdict Story::tuning_succeeded() const {
  if (has_succeeded()) return {yes, "workspaceSucceeded", "workspace succeeds"};
  if (has_failed()) {
    const std::string why = failure();
    return {no, "workspaceFailed", why.empty() ? "tuning job failed" : "tuning job failed: " + why};
  }
  const auto* p = push();
  if (p != nullptr && p->state == wire::PushState::Waiting)
    return artifact() == nullptr
               ? Verdict{no, p->reason, p->message}  // it is trained still
               : Verdict{no, p->reason,
                         p->message + " (the adapter is kept; " +
                             (p->attempt == 0
                                  ? "the push is tried again every 15 s)"
                                  : "attempt " + std::to_string(p->attempt + 1) + " follows)")};
  if (p != nullptr || artifact() != nullptr)
    return {no, "workspacePending", "workspace has not completed yet, the adapter is being pushed"};
  if (has_started() && is_suspended())
    return {no, "workspacePending",
            "workspace has not completed yet: " + suspension() +
                "; the tuning goes on from its checkpoint then"};
  if (const std::string why = retry(); !why.empty())  // whether it was seen to start before or not
    return {no, "workspacePending",
            "workspace has not completed yet, the tuning is started again after: " + why};
  if (has_started())
    return {no, "workspacePending", "workspace has not completed yet, tuning job is running"};
  return {no, "workspacePending", "workspace is initializing, tuning job has not started"};
}

Verdict Story::inference_ready() const {
  const auto* s = r_.server.get();
  const bool is_kaitos = runtime::is_kaitos(r_, r_.server);
  const bool ready = s != nullptr && s->exists && (s->revision == revision_ || is_kaitos) &&
                     s->replicas >= nodes_wanted(r_) && s->replicas > 0 &&
                     s->ready_replicas >= s->replicas && is_ready();
  if (ready)
    return {yes, "WorkspaceInferenceStatusSuccess",
            "Inference has been deployed successfully" +  // KAITO's words
                (s->weights.empty() ? "" : "; weights in " + s->weights)};
  Verdict out = waiting();
  if (out.reason == "WorkspaceTuningJobStatusPending") {
    const bool has_reason = pod() != nullptr && pod()->exists && !pod()->reason.empty();
    out.reason = has_reason ? class_of(*pod()) : "WorkspaceInferenceStatusPending";
    out.message = "Inference deployment is not ready";
    if (const std::uint32_t wanted = nodes_wanted(r_);
        s != nullptr && s->exists && s->ready_replicas < wanted && wanted > 1)
      out.message += ": " + std::to_string(s->ready_replicas) + " of " + std::to_string(wanted) +
                     " pods are ready";
    if (has_reason) out.message += ": " + words_of(*pod(), r_.resources.get());
  }
  return out;
}

std::string Story::checkpoint() const {
  if (runtime::is_trained(r_)) return {};  // it is of no use any more
  const wire::CheckpointT* safe = runtime::checkpoint_of(r_, revision_);
  const wire::CheckpointT* word = runtime::of_node(r_.checkpoints, runtime::run_node_of(r_));
  const auto* dir = runtime::run_dir_of(r_);
  std::string out;
  if (safe != nullptr)
    out = "step " + std::to_string(safe->step) + " is in the registry: " + safe->image;
  if (dir != nullptr && dir->revision == revision_ && dir->state == wire::RunDirState::Ready &&
      !dir->message.empty() && (word == nullptr || word->step == 0))
    out = dir->message;
  if (word != nullptr && word->revision == revision_ && !word->reason.empty())
    out += (out.empty() ? "" : "; ") + ("the newest cannot be pushed: " + word->message);
  return out;
}

std::string Story::phase() const {
  if (has_succeeded()) return "Done";
  if (has_failed()) return "Failed";
  if (artifact() != nullptr || (push() != nullptr && push()->state != wire::PushState::Waiting))
    return "Pushing";
  if (is_suspended()) return runtime::is_paused(*r_.workspace) ? "Paused" : "Queued";
  if (!stalled().empty()) return "Stalled";
  const auto* p = progress();
  if (p != nullptr && job() != nullptr) {
    switch (p->phase) {
      case wire::RunPhase::Starting:
      case wire::RunPhase::Loading:
        return "Loading";
      case wire::RunPhase::Tokenizing:
        return "Tokenizing";
      case wire::RunPhase::Training:
        return "Training";
      case wire::RunPhase::Saving:
      case wire::RunPhase::Done:
        return "Saving";
      case wire::RunPhase::Stopped:
        return "Stopped";
      case wire::RunPhase::Failed:
        return "Retrying";
    }
  }
  if (pod() != nullptr && pod()->exists && pod()->reason == "Unschedulable") return "Queued";
  if (runtime::is_kaitos(r_, r_.job) && job() != nullptr) return "Training";
  if (job() != nullptr) return retry().empty() ? "Downloading" : "Retrying";
  if (!is_ready()) return "Waiting";
  const auto* dir = runtime::run_dir_of(r_);
  const bool is_fetching = dir != nullptr && dir->state == wire::RunDirState::Fetching;
  return is_fetching ? "Downloading" : "Preparing";
}

void add(wire::StatusT& status, const wire::RecordT& record, const std::string& type,
         const Verdict& verdict, std::int64_t now_ms) {
  auto condition = std::make_unique<wire::ConditionT>();
  condition->type = type;
  condition->value = verdict.value;
  condition->reason = verdict.reason;
  condition->message = verdict.message;
  condition->generation = record.workspace->generation;
  std::int64_t since = 0;
  was_told(record, [&](const auto& told) {
    for (const auto& before : told.conditions)
      if (before->type == type && before->value == verdict.value)
        since = std::max(since, before->changed_at_ms);
    return false;
  });
  condition->changed_at_ms = (since != 0 ? since : now_ms) / 1000 * 1000;  // it is told in seconds
  status.conditions.push_back(std::move(condition));
}

void tell_tuning(wire::StatusT& status, const Story& story) {
  status.tuning = std::make_unique<wire::TuningStatusT>();
  auto& out = *status.tuning;
  out.phase = story.phase();
  out.eta_seconds = -1;
  if (const auto* p = story.progress()) {
    out.step = p->step;
    out.total_steps = p->total_steps;
    out.epoch = p->epoch;
    out.loss = p->loss;
    const bool is_held = story.is_suspended();  // nobody knows for how long
    if (!is_held) out.tokens_per_second = p->tokens_per_second;
    out.attempt = p->attempt;
    out.resumed_from = p->resumed_from;
    out.rows = p->rows;
    out.held_out_rows = p->held_out_rows;
    out.dropped_rows = p->dropped_rows;
    out.truncated_rows = p->truncated_rows;
    out.eval_step = p->eval_step;
    out.eval_loss = p->eval_loss;
    out.best_step = p->best_step;
    out.best_eval_loss = p->best_eval_loss;
    out.device = p->device;
    out.self_test = p->self_test;
    if (p->eta_ms >= 0 && !is_held) out.eta_seconds = (p->eta_ms + 999) / 1000;
  }
  out.checkpoint = story.checkpoint();
  if (out.phase == "Done") out.eta_seconds = 0;
  const auto* push = story.push();
  if (push == nullptr || push->state != wire::PushState::Pushed) return;
  status.artifact = std::make_unique<wire::ArtifactStatusT>();
  status.artifact->image = push->image;
  status.artifact->digest = push->digest;
  status.artifact->size_bytes = push->bytes;
}

std::string tuning_state(const Story& story) {
  if (story.has_failed()) return "Failed";
  if (story.has_succeeded()) return "Succeeded";
  return story.has_started() ? "Running" : "Pending";
}
std::string inference_state(const wire::RecordT& record, const Verdict& ready) {
  if (ready.value == yes) return "Ready";
  const bool was = was_told(
      record, [](const auto& told) { return told.state == "Ready" || told.state == "NotReady"; });
  return was ? "NotReady" : "Pending";
}
}  // namespace

wire::StatusT compose(const wire::RecordT& record, std::int64_t now_ms, const std::string& leaving,
                      const runtime::Named& named) {
  wire::StatusT status;
  if (!record.workspace) return status;
  const Story story(record);
  status.target_nodes = nodes_wanted(record);
  if (record.resources) status.nodes = record.resources->nodes;
  std::sort(status.nodes.begin(), status.nodes.end());
  if (record.resources && record.resources->buys)
    add(status, record, "NodeClaimReady", story.claims(), now_ms);
  add(status, record, "NodesReady", story.nodes(), now_ms);
  add(status, record, "ResourceReady", story.resources(), now_ms);
  if (record.workspace->tuning) {
    add(status, record, "JobStarted", story.job_started(), now_ms);
    add(status, record, "WorkspaceSucceeded", story.tuning_succeeded(), now_ms);
    status.state = tuning_state(story);
    tell_tuning(status, story);
  }
  if (record.workspace->inference) {
    const Verdict ready = story.inference_ready();
    add(status, record, "InferenceReady", ready, now_ms);
    const Verdict done = ready.value == yes
                             ? Verdict{yes, "workspaceSucceeded", "workspace succeeds"}
                             : Verdict{no, "workspacePending", "waiting for the inference server"};
    add(status, record, "WorkspaceSucceeded", done, now_ms);
    status.state = inference_state(record, ready);
    if (ready.value == yes) status.address = record.server->address;
    status.adapters = adapters_told(record, named);
    if (!status.adapters.empty())
      add(status, record, "AdaptersReady", adapters_ready(status.adapters), now_ms);
  }
  const auto* trouble = runtime::trouble_of(record, "SaveRevision");
  const bool is_lasting =
      trouble != nullptr && trouble->code == static_cast<std::uint8_t>(Code::conflict);
  if (is_lasting)  // KAITO's suffix
    for (auto& condition : status.conditions)
      if (condition->value == no)
        condition->message += " (last reconcile error: " + trouble->what + ")";
  if (record.workspace->deleting)
    add(status, record, "WorkspaceDeleting",
        {yes, "workspaceDeleted",
         leaving.empty() ? "workspace is being deleted" : "workspace is being deleted: " + leaving},
        now_ms);
  return status;
}
}  // namespace kairo::watcher
