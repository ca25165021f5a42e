// agents/node/effects.cpp - run directories and their contents as facts.
#include "agents/node/effects.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agents/cluster/kinds.h"
#include "agents/node/progress.h"
#include "agents/node/weights_said.h"

namespace kairo::node {
namespace {
RunKey key_of(const wire::CommandT& command, const wire::RunT& run) {
  return {command.uid, command.ns, command.name, run.revision, run.preset};
}
wire::TrainingT training_of(const std::string& node, const std::string& revision,
                            const wire::ProgressT& progress) {
  wire::TrainingT training;
  training.node = node;
  training.revision = revision;
  training.progress = std::make_unique<wire::ProgressT>(progress);
  return training;
}

// A pod of that Workspace whose processes may still run on the node. (A copy of one, as kubectl
// debug makes it, has no controller.)
bool may_run(const std::string& pod, const std::string& workspace, const std::string& node) {
  const auto json = nlohmann::json::parse(pod, nullptr, false);
  const auto at = [&](const char* path) {
    const nlohmann::json::json_pointer pointer(path);
    return json.contains(pointer) ? json.at(pointer) : nlohmann::json();
  };
  const auto owners = at("/metadata/ownerReferences");
  const bool is_controlled = std::any_of(owners.begin(), owners.end(), [](const auto& owner) {
    return owner.is_object() && owner.value("controller", false);
  });
  const auto phase = at("/status/phase");
  return is_controlled && phase != "Succeeded" && phase != "Failed" &&
         at("/spec/nodeName") == node &&
         at("/metadata/annotations/kairo.dev~1workspace-uid") == workspace;
}
}  // namespace

Status NodeEffects::perform(const wire::CommandT& command) {
  switch (command.body.type) {
    case wire::CommandBody::PrepareRun:
      return prepare(command, *command.body.AsPrepareRun());
    case wire::CommandBody::RemoveRun:
      return remove(command, *command.body.AsRemoveRun()->run);
    case wire::CommandBody::CheckArtifact:
      return check(command, *command.body.AsCheckArtifact());
    case wire::CommandBody::ServeAdapters:
      return serve_adapters(command, *command.body.AsServeAdapters());
    case wire::CommandBody::NONE:
    case wire::CommandBody::BuyNode:
    case wire::CommandBody::GiveUpNodes:
    case wire::CommandBody::LabelNode:
    case wire::CommandBody::ExplainEnd:
    case wire::CommandBody::PushCheckpoint:
    case wire::CommandBody::DropCheckpoint:
    case wire::CommandBody::MakeVolume:
    case wire::CommandBody::ReleaseRun:
    case wire::CommandBody::Publish:
    case wire::CommandBody::SetFinalizer:
    case wire::CommandBody::SaveRevision:
    case wire::CommandBody::PatchStatus:
    case wire::CommandBody::AnnounceStatus:
    case wire::CommandBody::ApplyTuning:
    case wire::CommandBody::ApplyInference:
    case wire::CommandBody::RemoveWorkload:
    case wire::CommandBody::PushImage:
    case wire::CommandBody::CheckPush:
      break;
  }
  return Error{Code::invalid, "the node agent does not perform this command"};
}

Status NodeEffects::prepare(const wire::CommandT& command, const wire::PrepareRunT& body) {
  const wire::RunT& run = *body.run;
  if (models_ != nullptr)
    TRY(models_->want({command.uid, command.ns, command.name, run.revision, run.place, run.preset,
                       body.access_secret, body.weights_image, body.weights_secrets}));
  RunKey key = key_of(command, run);
  key.preset = entry_of(run.preset, body.weights_image);
  wire::RunDirT dir;
  dir.path = TRY(dirs_.prepare(key));
  if (body.checkpoint && checkpoints_ != nullptr)
    dir.message = TRY(checkpoints_->bring({command.uid, command.ns, run.revision, dir.path,
                                           body.checkpoint->image, body.checkpoint_secret,
                                           body.checkpoint->step}));
  dir.volume = dirs_.volume(key);
  dir.blocks = blocks_of(dir.path + "/weights");
  dir.revision = run.revision;
  dir.state = wire::RunDirState::Ready;
  dir.node = self_;
  dir.place = run.place;
  observe_(runtime::fact_about(command, std::move(dir)));
  return ok();
}

Status NodeEffects::serve_adapters(const wire::CommandT& command,
                                   const wire::ServeAdaptersT& wish) {
  return adapters_ == nullptr ? ok() : adapters_->want(command, wish);
}

// A pod can outlive what made it (a StatefulSet that somebody deletes), and a fact about it may
// have been lost: so the cluster is asked.
Status NodeEffects::check_unused(const wire::CommandT& command) {
  const auto pods =
      TRY(cluster_.list({cluster::pods, command.ns, "kaito.sh/workspace=" + command.name}));
  const bool is_used =
      std::any_of(pods.items.begin(), pods.items.end(),
                  [&](const std::string& pod) { return may_run(pod, command.uid, self_); });
  return is_used ? Status(Error{Code::unavailable, "a pod of the run is still ending"}) : ok();
}

Status NodeEffects::remove(const wire::CommandT& command, const wire::RunT& run) {
  if (models_ != nullptr) models_->forget(command.uid);
  TRY(check_unused(command));
  TRY(dirs_.remove(command.ns, command.uid));
  wire::ArtifactT nothing;
  nothing.node = self_;
  observe_(runtime::fact_about(command, std::move(nothing)));
  wire::RunDirT dir;
  dir.revision = run.revision;
  dir.state = wire::RunDirState::Removed;
  dir.node = self_;
  observe_(runtime::fact_about(command, std::move(dir)));
  return ok();
}

Status NodeEffects::check(const wire::CommandT& command, const wire::CheckArtifactT& check) {
  const wire::RunT& run = *check.run;
  wire::ArtifactT artifact;
  artifact.revision = run.revision;
  artifact.node = self_;
  artifact.place = run.place;
  const RunKey key = key_of(command, run);
  const auto adapter = dirs_.adapter(key);
  if (!adapter.ok() && adapter.error().code != Code::not_found) return adapter.error();
  if (!adapter.ok() && check.job_is_gone) return ok();  // it may have written elsewhere, long ago
  if (adapter.ok()) {
    artifact.path = adapter.value().path;
    artifact.bytes = adapter.value().bytes;
    artifact.digest = adapter.value().digest;
  } else {
    artifact.problem = adapter.error().what;
  }
  // The trainer's last word first: who sees the artifact has seen the last step.
  if (const auto progress = last_progress(tail_of(dirs_.progress_file(key))))
    observe_(runtime::fact_about(command, training_of(self_, run.revision, *progress)));
  observe_(runtime::fact_about(command, std::move(artifact)));
  return ok();
}

void ProgressSensor::tell(const RunKey& run, const Told& told) {
  wire::TrainingT training = training_of(self_, run.revision, told.progress);
  told.stall.say(training);
  observe_(runtime::fact_about(run, std::move(training)));
}

void ProgressSensor::look() {
  const auto runs = dirs_.list();
  if (!runs.ok()) return;
  std::map<std::string, Told> seen;
  std::optional<std::vector<wire::FactT>> words;
  for (const RunKey& run : runs.value()) {
    const std::string file = dirs_.progress_file(run);
    const std::string stamp = stamp_of(file);
    if (stamp.empty()) continue;  // not begun
    const auto before = told_.find(file);
    if (before == told_.end() && utilization_ && last_words_) {
      if (!words) words = last_words_();
      if (!words) continue;  // what it said of this run is not known yet
    }
    Told& told = seen[file];
    if (before != told_.end())
      told = before->second;
    else if (words)
      told.stall = StallWatch::recalled(*words, run.uid, run.revision, self_);
    if (told.stamp == stamp) {  // most runs are over: one stat each
      const bool is_hung = utilization_ && told.stall.is_watched() &&
                           told.stall.look(utilization_(told.stall.gpu()), clock_.monotonic_ms());
      if (is_hung) tell(run, told);
      continue;
    }
    told.stamp = stamp;
    const std::string tail = tail_of(file);
    const auto progress = last_progress(tail);
    if (!progress || told.progress == *progress) continue;
    told.progress = *progress;
    const bool may_stall = utilization_ && !progress->gpu.empty();
    told.stall.moved(*progress, may_stall ? patience_ms(tail) : 0, clock_.monotonic_ms());
    tell(run, told);
  }
  told_ = std::move(seen);
  std::vector<TrainingSeen> trainings;
  for (const RunKey& run : runs.value())
    if (const auto told = told_.find(dirs_.progress_file(run)); told != told_.end())
      trainings.push_back({run.ns, run.name, told->second.progress});
  const std::lock_guard lock(mutex_);
  seen_ = std::move(trainings);
}
std::string ProgressSensor::metrics() const {
  const std::lock_guard lock(mutex_);
  return training_metrics(seen_, clock_.now_ms());
}
}  // namespace kairo::node
