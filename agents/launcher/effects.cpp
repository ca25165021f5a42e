// agents/launcher/effects.cpp - apply in order, remove until it is gone.
#include "agents/launcher/effects.h"

#include <nlohmann/json.hpp>

#include "agents/cluster/config_map.h"
#include "agents/cluster/kinds.h"
#include "agents/launcher/object_text.h"
#include "agents/launcher/run_volume.h"
#include "agents/launcher/vllm_flags.h"
#include "schemas/base/log.h"

namespace kairo::launcher {
namespace {
// Of a Job that is there: whether it is suspended is Kueue's to say.
cluster::Apply without_suspend(cluster::Apply job) {
  auto json = nlohmann::json::parse(job.json);
  json["spec"].erase("suspend");
  job.json = json.dump();
  return job;
}
// The uid of the Workspace that controls it; "" = none does.
std::string owner_of(const std::string& object) {
  const auto json = nlohmann::json::parse(object, nullptr, false);
  const nlohmann::json::json_pointer owners("/metadata/ownerReferences");
  if (json.is_object() && json.contains(owners))
    for (const auto& owner : json[owners])
      if (owner.value("controller", false) && owner.value("kind", "") == "Workspace")
        return owner.value("uid", "");
  return {};
}
std::size_t image_volumes_in(const std::string& object) {
  const auto json = nlohmann::json::parse(object, nullptr, false);
  const nlohmann::json::json_pointer volumes("/spec/template/spec/volumes");
  std::size_t out = 0;
  if (json.is_object() && json.contains(volumes))
    for (const auto& volume : json[volumes]) out += volume.contains("image") ? 1 : 0;
  return out;
}
// A server whose gate ImageVolume is off takes such volumes out of what it is sent, mounts too.
Status are_images_kept(const cluster::Apply& sent, const std::string& kept) {
  if (image_volumes_in(sent.json) == image_volumes_in(kept)) return ok();
  return Error{Code::conflict,
               "the API server has left the image volumes of " + sent.ref.kind.kind + " " +
                   sent.ref.name +
                   " out: its feature gate ImageVolume is off; switch it on, or set image-volumes "
                   "(imageVolumes of the chart) to never"};
}
}  // namespace

Status LauncherEffects::perform(const wire::CommandT& command) {
  switch (command.body.type) {
    case wire::CommandBody::ApplyTuning:
      return apply_tuning(command);
    case wire::CommandBody::ApplyInference:
      return apply_inference(command);
    case wire::CommandBody::RemoveWorkload:
      return remove(command);
    case wire::CommandBody::ReleaseRun:
      return release(command);
    case wire::CommandBody::MakeVolume:
      return make_volume(command);
    case wire::CommandBody::NONE:
    case wire::CommandBody::BuyNode:
    case wire::CommandBody::GiveUpNodes:
    case wire::CommandBody::LabelNode:
    case wire::CommandBody::ExplainEnd:
    case wire::CommandBody::PushCheckpoint:
    case wire::CommandBody::DropCheckpoint:
    case wire::CommandBody::ServeAdapters:
    case wire::CommandBody::Publish:
    case wire::CommandBody::SetFinalizer:
    case wire::CommandBody::SaveRevision:
    case wire::CommandBody::PatchStatus:
    case wire::CommandBody::AnnounceStatus:
    case wire::CommandBody::PrepareRun:
    case wire::CommandBody::RemoveRun:
    case wire::CommandBody::CheckArtifact:
    case wire::CommandBody::PushImage:
    case wire::CommandBody::CheckPush:
      break;
  }
  return Error{Code::invalid, "the launcher does not perform this command"};
}

Status LauncherEffects::check_secret(const std::string& ns, const std::string& name,
                                     const std::string& field) {
  if (name.empty() || !settings_.checks_secrets) return ok();
  const auto secret = cluster_.get({cluster::secrets, ns, name});
  if (secret.ok()) return ok();
  if (secret.error().code != Code::not_found) return secret.error();
  return Error{
      Code::not_found,
      "Secret '" + name + "' specified in '" + field + "' not found in namespace '" + ns +
          "'; create it (type kubernetes.io/dockerconfigjson), the workspace goes on then"};
}

Status LauncherEffects::check_tuning(const wire::CommandT& command) {
  const wire::TuningT& tuning = *command.body.AsApplyTuning()->workspace->tuning;
  if (tuning.output)
    TRY(check_secret(command.ns, tuning.output->image_push_secret, "output.imagePushSecret"));
  for (const std::string& secret : tuning.input->image_pull_secrets)
    TRY(check_secret(command.ns, secret, "input.imagePullSecrets"));
  if (tuning.config.empty()) return ok();
  const std::string map = TRY(cluster::named_config_map(cluster_, command.ns, tuning.config));
  const std::string wrong = check_config_(map, tuning.config, tuning.method);
  if (!wrong.empty()) return Error{Code::conflict, wrong};
  return ok();
}

// Created where nothing is: that needs no look before. What is there is touched only when it is
// this Workspace's. The Job comes first, and what is shared is looked at behind it; but a node's
// first pod in a namespace would look for a claim that is not there, and be tried again seconds
// later, so volume and claim are made before that. A failure is told behind the Job.
Status LauncherEffects::apply_tuning(const wire::CommandT& command) {
  TRY(check_tuning(command));
  const Plan plan = plan_tuning(command, settings_);
  const wire::ApplyTuningT& body = *command.body.AsApplyTuning();
  const std::vector<cluster::Apply> volume = run_volume(command.ns, *body.resources, *body.run_dir);
  if (!shared_.has_seen(volume)) static_cast<void>(shared_.make(volume, body.since_ms));
  for (const cluster::Apply& object : plan.own) {
    const auto made = cluster_.create(object);
    const bool is_taken = !made.ok() && made.error().code == Code::conflict;
    if (is_taken)
      TRY(apply(command, {body.workspace->queue.empty() ? object : without_suspend(object)}));
    else
      TRY(made);
  }
  return shared_.make(plan.shared, body.since_ms);
}
// Before its time, so nobody waits for it: what fails here is made, or told, behind the Job.
Status LauncherEffects::make_volume(const wire::CommandT& command) {
  const wire::MakeVolumeT& body = *command.body.AsMakeVolume();
  const Status made =
      shared_.make(run_volume(command.ns, *body.resources, *body.run_dir), clock_.now_ms());
  if (!made.ok()) log::info("the runs' volume is made later", {{"error", made.error().what}});
  return ok();
}
Status LauncherEffects::apply_inference(const wire::CommandT& command) {
  std::vector<std::string> words;
  const wire::ApplyInferenceT& body = *command.body.AsApplyInference();
  const std::string& runtime = body.resources->runtime;
  TRY(check_weights(body));
  if (const std::string& name = body.workspace->inference->config;
      !name.empty() && runtime != "template") {
    const std::string map = TRY(cluster::named_config_map(cluster_, command.ns, name));
    words = TRY(runtime == "vllm" ? vllm_flags(map, name)
                                  : native_words(map, name, body.resources->local));
  }
  const Plan plan = plan_inference(command, settings_, words);
  if (body.workspace->count > 1) TRY(make_way(command));
  TRY(shared_.make(plan.shared, 0));
  return apply(command, plan.own);
}

Status LauncherEffects::apply(const wire::CommandT& command,
                              const std::vector<cluster::Apply>& plan) {
  for (const cluster::Apply& object : plan) {
    const auto there = cluster_.get(object.ref);
    if (!there.ok() && there.error().code != Code::not_found) return there.error();
    if (there.ok() && owner_of(there.value()) != command.uid)
      return Error{Code::unavailable, object.ref.kind.kind + " " + command.ns + "/" +
                                          object.ref.name +
                                          " belongs to another owner; remove it or rename the "
                                          "workspace"};
  }
  for (const cluster::Apply& object : plan) {
    const std::string kept = TRY(cluster_.apply(object));
    TRY(are_images_kept(object, kept));
  }
  return ok();
}

Status LauncherEffects::release(const wire::CommandT& command) {
  wire::RunT run(*command.body.AsReleaseRun()->run);
  run.planned = false;
  observe_(runtime::fact_about(command, std::move(run)));
  return ok();
}

Status LauncherEffects::remove(const wire::CommandT& command) {
  TRY(remove_workload(command));
  return command.body.AsRemoveWorkload()->volumes ? remove_volumes(command, {}) : ok();
}
Status LauncherEffects::remove_workload(const wire::CommandT& command) {
  const bool job = command.body.AsRemoveWorkload()->kind == "Job";
  const cluster::Ref ref{job ? cluster::jobs : cluster::stateful_sets, command.ns, command.name};
  const auto there = cluster_.get(ref);
  if (!there.ok()) return there.error().code == Code::not_found ? ok() : Status(there.error());
  // A namesake of a later Workspace; or what this row made way for, and a crash repeats the row.
  const std::string& place = command.body.AsRemoveWorkload()->place;
  const auto is_another = [&](const std::string& object) {
    if (owner_of(object) != command.uid) return true;
    const std::string& uid = command.body.AsRemoveWorkload()->uid;
    if (!uid.empty() && text_at(object, "/metadata/uid") != uid) return true;
    const auto note = [&](const char* key) {
      return text_at(object, (std::string("/metadata/annotations/kairo.dev~1") + key).c_str());
    };
    return !command.revision.empty() && note("revision") == command.revision &&
           (place.empty() || note("place").empty() || note("place") == place);
  };
  if (is_another(there.value())) return ok();
  if (text_at(there.value(), "/metadata/deletionTimestamp").empty())
    TRY(cluster_.remove(ref, text_at(there.value(), "/metadata/uid")));
  const auto still = cluster_.get(ref);
  if (!still.ok() && still.error().code == Code::not_found) return ok();
  if (still.ok() && is_another(still.value())) return ok();
  return Error{Code::unavailable, ref.kind.kind + " " + command.name + " is still ending"};
}
}  // namespace kairo::launcher
