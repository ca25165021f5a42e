// agents/watcher/effects.cpp - server-side apply with one field manager per purpose.
#include "agents/watcher/effects.h"

#include <nlohmann/json.hpp>

#include "agents/cluster/kinds.h"
#include "agents/watcher/revision.h"
#include "agents/watcher/status_json.h"

namespace kairo::watcher {
namespace {
using Json = nlohmann::json;
constexpr const char* finalizer = "workspace.finalizer.kaito.sh";

cluster::Ref ref_of(const wire::CommandT& command) {
  return {cluster::workspaces, command.ns, command.name};
}
Json head(const wire::CommandT& command) {
  return {{"apiVersion", "kaito.sh/v1beta1"},
          {"kind", "Workspace"},
          {"metadata", {{"name", command.name}, {"namespace", command.ns}, {"uid", command.uid}}}};
}
// The object is gone, or another one has its name: nothing is left to be done.
Status unless_gone(const Result<std::string>& applied) {
  if (applied.ok()) return ok();
  const Code code = applied.error().code;
  if (code == Code::not_found || code == Code::conflict) return ok();
  return applied.error();
}
}  // namespace

Status WatcherEffects::perform(const wire::CommandT& command) {
  switch (command.body.type) {
    case wire::CommandBody::SetFinalizer:
      return set_finalizer(command);
    case wire::CommandBody::SaveRevision:
      return save_revision(command);
    case wire::CommandBody::PatchStatus:
      return patch_status(command);
    case wire::CommandBody::AnnounceStatus:
      return announce(command);
    case wire::CommandBody::NONE:
    case wire::CommandBody::ReleaseRun:
    case wire::CommandBody::Publish:
    case wire::CommandBody::ApplyTuning:
    case wire::CommandBody::ApplyInference:
    case wire::CommandBody::RemoveWorkload:
    case wire::CommandBody::PrepareRun:
    case wire::CommandBody::RemoveRun:
    case wire::CommandBody::CheckArtifact:
    case wire::CommandBody::PushImage:
      break;
  }
  return Error{Code::invalid, "the watcher does not perform this command"};
}

Status WatcherEffects::set_finalizer(const wire::CommandT& command) {
  Json object = head(command);
  object["metadata"]["finalizers"] = Json::array();
  if (command.body.AsSetFinalizer()->present) object["metadata"]["finalizers"].push_back(finalizer);
  return unless_gone(
      cluster_.apply({ref_of(command), object.dump(), "kairo-watcher-finalizer", ""}));
}

Status WatcherEffects::save_revision(const wire::CommandT& command) {
  const auto current = cluster_.get(ref_of(command));
  if (!current.ok())
    return current.error().code == Code::not_found ? ok() : Status(current.error());
  const Json meta = Json::parse(current.value())["metadata"];
  if (meta.value("uid", "") != command.uid || meta.contains("deletionTimestamp")) return ok();
  // Changed meanwhile: a newer row takes this one's place, or the same wish comes back unseen.
  if (TRY(revision_of(current.value())) != command.revision)
    return Error{Code::unavailable, "the Workspace has been changed"};
  const auto listing = TRY(cluster_.list(
      {cluster::controller_revisions, command.ns, "workspace.kaito.io/name=" + command.name}));
  const RevisionPlan plan = TRY(plan_revision(current.value(), listing.items));
  if (!plan.object.empty())
    TRY(cluster_.apply({{cluster::controller_revisions, command.ns, plan.name},
                        plan.object,
                        "kairo-watcher",
                        ""}));
  if (!plan.expired.empty())
    TRY(cluster_.remove({cluster::controller_revisions, command.ns, plan.expired}, ""));
  Json object = head(command);
  object["metadata"]["annotations"] = {
      {"workspace.kaito.io/hash", command.revision},
      {"workspace.kaito.io/revision", std::to_string(plan.number)}};
  return unless_gone(
      cluster_.apply({ref_of(command), object.dump(), "kairo-watcher-revision", ""}));
}

Status WatcherEffects::announce(const wire::CommandT& command) {
  if (!command.body.AsAnnounceStatus()->status) {  // gone; a namesake may have the subject by now
    const auto there = cluster_.get(ref_of(command));
    if (there.ok()) return ok();
    if (there.error().code != Code::not_found) return there.error();
  }
  return bus_.publish(
      {status_subject(command.ns, command.name), "", status_event(command, clock_.now_ms())});
}

Status WatcherEffects::patch_status(const wire::CommandT& command) {
  return unless_gone(
      cluster_.apply({ref_of(command), status_object(command), "kairo-watcher", "status"}));
}
}  // namespace kairo::watcher
