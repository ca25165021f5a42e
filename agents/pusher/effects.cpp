// agents/pusher/effects.cpp - Secret -> push -> fact; of checkpoints too, and their removal.
#include "agents/pusher/effects.h"

#include <nlohmann/json.hpp>

#include "agents/cluster/kinds.h"
#include "schemas/base/base64.h"
#include "schemas/base/log.h"

namespace kairo::pusher {
namespace {
constexpr std::int64_t progress_every_ms = 1'000, drop_ms_max = 3'600'000;
}

Status PusherEffects::perform(const wire::CommandT& command) {
  if (command.body.type == wire::CommandBody::PushImage) return push(command);
  if (command.body.type == wire::CommandBody::PushCheckpoint) return push_checkpoint(command);
  if (command.body.type == wire::CommandBody::DropCheckpoint) return drop_checkpoint(command);
  if (const wire::CheckPushT* check = command.body.AsCheckPush()) {
    TRY(credentials(command.ns, check->workspace->tuning->output->image_push_secret));
    return ok();
  }
  return Error{Code::invalid, "the pusher does not perform this command"};
}

Result<std::string> PusherEffects::credentials(const std::string& ns, const std::string& secret) {
  if (secret.empty()) return std::string();
  const auto object = cluster_.get({cluster::secrets, ns, secret});
  if (!object.ok()) {
    if (object.error().code != Code::not_found) return object.error();
    return Error{Code::not_found, "Secret '" + secret +
                                      "' specified in 'output.imagePushSecret' not found in "
                                      "namespace '" +
                                      ns + "'; create it, the push goes on then"};
  }
  const auto json = nlohmann::json::parse(object.value(), nullptr, false);
  if (json.is_object() && json.contains("data"))
    for (const char* key : {".dockerconfigjson", ".dockercfg"})
      if (json["data"].contains(key) && json["data"][key].is_string())
        return base64_decode(json["data"][key].get<std::string>());
  return Error{Code::not_found, "Secret '" + secret +
                                    "' has no key .dockerconfigjson; make it with: kubectl create "
                                    "secret docker-registry " +
                                    secret};
}

void PusherEffects::tell(const wire::CommandT& command, wire::PushT push) {
  push.revision = command.revision;
  push.node = command.body.AsPushImage()->artifact->node;
  push.image = command.body.AsPushImage()->workspace->tuning->output->image;
  observe_(runtime::fact_about(command, std::move(push)));
}

Status PusherEffects::push(const wire::CommandT& command) {
  const wire::PushImageT& body = *command.body.AsPushImage();
  if (checkpoints_ != nullptr) checkpoints_->stop(command.uid);  // it is not needed any more
  const wire::TuningT& tuning = *body.workspace->tuning;
  PushRequest request;
  request.reference = tuning.output->image;
  request.directory = body.artifact->path;
  request.model_name = tuning.preset;
  request.docker_config_json = TRY(credentials(command.ns, tuning.output->image_push_secret));
  std::int64_t told_ms = 0;
  const auto progress = [&](std::uint64_t done, std::uint64_t total) {
    const std::int64_t now = clock_.monotonic_ms();
    if (now - told_ms < progress_every_ms) return;
    told_ms = now;
    wire::PushT push;
    push.state = wire::PushState::Pushing;
    push.done = done;
    push.bytes = total;
    tell(command, std::move(push));
  };
  const auto done = uploader_.push(request, progress);
  if (!done.ok() && done.error().code == Code::not_found)  // of the adapter, not of the Secret
    return Error{Code::conflict, done.error().what};
  const PushResult& result = TRY(done);
  wire::PushT pushed;
  pushed.state = wire::PushState::Pushed;
  pushed.digest = result.digest;
  pushed.bytes = pushed.done = result.bytes;
  pushed.sent = result.sent;
  tell(command, std::move(pushed));
  return ok();
}

CheckpointJob PusherEffects::job_of(const wire::CommandT& command,
                                    const wire::WorkspaceT& workspace) {
  const wire::DataDestinationT& output = *workspace.tuning->output;
  CheckpointJob job;
  job.uid = command.uid;
  job.output = output.image;
  job.docker_config = [this, ns = command.ns, secret = output.image_push_secret] {
    return credentials(ns, secret);
  };
  return job;
}
Status PusherEffects::push_checkpoint(const wire::CommandT& command) {
  const wire::PushCheckpointT& body = *command.body.AsPushCheckpoint();
  if (checkpoints_ == nullptr) return ok();
  CheckpointJob job = job_of(command, *body.workspace);
  job.run_dir = body.run_dir->path;
  if (body.known) job.known_step = body.known->step;
  const PushedCheckpoint pushed = TRY(checkpoints_->push(job));
  if (pushed.step == 0) return ok();
  wire::CheckpointT safe;
  safe.revision = command.revision;
  safe.node = body.run_dir->node;
  safe.step = pushed.step;
  safe.image = pushed.image;
  safe.digest = pushed.digest;
  safe.bytes = pushed.bytes;
  observe_(runtime::fact_about(command, std::move(safe)));
  return ok();
}
// A registry that is away is asked again for a while; one that refuses keeps it, and so does one
// whose Secret has gone with the Workspace: no error of the Workspace.
Status PusherEffects::drop_checkpoint(const wire::CommandT& command) {
  const wire::DropCheckpointT& body = *command.body.AsDropCheckpoint();
  const auto& output = body.workspace->tuning->output;
  if (checkpoints_ == nullptr || !output || output->image.empty()) return ok();
  checkpoints_->stop(command.uid);
  const Status gone = checkpoints_->remove(job_of(command, *body.workspace));
  const std::int64_t waited_ms = clock_.now_ms() - body.since_ms;
  const bool is_worth_it = waited_ms >= 0 && waited_ms < drop_ms_max;
  if (!gone.ok() && gone.error().code == Code::unavailable && is_worth_it) return gone;
  if (!gone.ok())
    log::info("the checkpoint stays in the registry",
              {{"workspace", command.ns + "/" + command.name}, {"why", gone.error().what}});
  wire::CheckpointT none;
  none.node = self_;
  observe_(runtime::fact_about(command, std::move(none)));
  return ok();
}
}  // namespace kairo::pusher
