// agents/watcher/effects.cpp - merge patches that hold only for the version that was seen.
#include "agents/watcher/effects.h"

#include <charconv>
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
std::string text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}
std::uint64_t version_of(const Json& object) {
  const std::string text = object["metadata"].value("resourceVersion", "");
  std::uint64_t out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}
Json with_finalizer(Json finalizers, bool present) {
  Json out = Json::array();
  for (Json& name : finalizers)
    if (name != finalizer) out.push_back(std::move(name));
  if (present) out.push_back(finalizer);
  return out;
}
Json annotations_of(const Noted& note) {
  return {{"workspace.kaito.io/hash", note.hash},
          {"workspace.kaito.io/revision", std::to_string(note.number)}};
}
cluster::Apply apply_of(const wire::CommandT& command, const RevisionPlan& plan) {
  return {{cluster::controller_revisions, command.ns, plan.name}, plan.object, "kairo-watcher", ""};
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
    case wire::CommandBody::BuyNode:
    case wire::CommandBody::GiveUpNodes:
    case wire::CommandBody::LabelNode:
    case wire::CommandBody::ExplainEnd:
    case wire::CommandBody::PushCheckpoint:
    case wire::CommandBody::DropCheckpoint:
    case wire::CommandBody::ServeAdapters:
    case wire::CommandBody::MakeVolume:
    case wire::CommandBody::ReleaseRun:
    case wire::CommandBody::Publish:
    case wire::CommandBody::ApplyTuning:
    case wire::CommandBody::ApplyInference:
    case wire::CommandBody::RemoveWorkload:
    case wire::CommandBody::PrepareRun:
    case wire::CommandBody::RemoveRun:
    case wire::CommandBody::CheckArtifact:
    case wire::CommandBody::PushImage:
    case wire::CommandBody::CheckPush:
      break;
  }
  return Error{Code::invalid, "the watcher does not perform this command"};
}

// Nothing guards a UID (on /status it is not even looked at), so each write names the version of
// the object that it is about: a namesake has another one. When that has moved on, the object is
// read and the change made once more.
Status WatcherEffects::write(const wire::CommandT& command, const std::string& subresource,
                             const Change& change, std::uint64_t rests_on) {
  const std::lock_guard lock(turn(command.uid));
  Result<std::string> done = Error{Code::conflict, "no version is known"};
  const std::uint64_t version = workspaces_.newest(command.uid).version;
  if (version != 0 && (rests_on == 0 || rests_on == version))
    done = attempt(command, subresource, change(nullptr), version);
  if (!done.ok() && done.error().code == Code::conflict) {
    const Json object = TRY(read(command));
    if (object.is_null()) return ok();
    done = attempt(command, subresource, change(&object), version_of(object));
  }
  if (done.ok() || done.error().code == Code::not_found) return ok();
  const bool is_conflict = done.error().code == Code::conflict;  // once more, after a pause
  return Error{is_conflict ? Code::unavailable : done.error().code, done.error().what};
}
Result<Json> WatcherEffects::read(const wire::CommandT& command) {
  const std::uint64_t seen = workspaces_.newest(command.uid).version;
  auto current = cluster_.get(ref_of(command));
  if (!current.ok() && current.error().code == Code::not_found) return Json();
  Json object = Json::parse(TRY(std::move(current)));
  if (version_of(object) < seen)  // a cache on the way answered
    return Error{Code::unavailable, "the API server showed an older version than before"};
  if (object["metadata"].value("uid", "") != command.uid) return Json();
  return object;
}
std::mutex& WatcherEffects::turn(const std::string& uid) {
  return turns_[std::hash<std::string>{}(uid) % turns_.size()];
}

// What the server made of our own status is what it is to show, be it that its schema leaves
// something out. Another one that comes back with another write is somebody else's: its event
// tells.
Result<std::string> WatcherEffects::attempt(const wire::CommandT& command,
                                            const std::string& subresource, Json patch,
                                            std::uint64_t version) {
  patch["metadata"]["resourceVersion"] = std::to_string(version);
  auto done = cluster_.patch({ref_of(command), text_of(patch), subresource});
  if (!done.ok()) return done;
  const auto object = std::make_shared<const Json>(Json::parse(done.value()));
  const std::uint64_t now = version_of(*object);
  workspaces_.saw(command.uid, now, object);
  if (subresource == "status") workspaces_.saw_status(command.uid, now, status_seen(*object).hash);
  return done;
}

Status WatcherEffects::set_finalizer(const wire::CommandT& command) {
  const wire::SetFinalizerT& wish = *command.body.AsSetFinalizer();
  const auto change = [&](const Json* object) -> Json {
    const Json there = object != nullptr ? (*object)["metadata"].value("finalizers", Json::array())
                                         : Json(wish.others);
    return {{"metadata", {{"finalizers", with_finalizer(there, wish.present)}}}};
  };
  // A later version may have other finalizers (the row may be of an earlier process).
  return write(command, "", change, wish.version & version_mask);
}

// The ControllerRevision is there before the Workspace names it: whatever is cut short or lost in
// between, a Workspace without the annotations shows that there is something to do.
Status WatcherEffects::save_revision(const wire::CommandT& command) {
  return TRY(save_first(command)) ? ok() : save_next(command);
}

// The first revision needs no reading: that there was none before it shows the object.
Result<bool> WatcherEffects::save_first(const wire::CommandT& command) {
  const std::lock_guard lock(turn(command.uid));
  const Workspaces::Newest known = workspaces_.newest(command.uid);
  if (!known.object) return false;
  const RevisionPlan plan = TRY(plan_revision(*known.object, {}));
  if (plan.note.hash != command.revision) return false;
  const auto made = cluster_.create(apply_of(command, plan));
  if (!made.ok() && made.error().code == Code::conflict) return false;
  TRY(made);
  Json patch = {{"metadata", {{"annotations", annotations_of(plan.note)}}}};
  const Json there = (*known.object)["metadata"].value("finalizers", Json::array());
  if (command.body.AsSaveRevision()->finalize)
    patch["metadata"]["finalizers"] = with_finalizer(there, true);
  const auto noted = attempt(command, "", patch, known.version);
  if (noted.ok() || noted.error().code == Code::not_found) return true;
  if (noted.error().code == Code::conflict) return false;
  return noted.error();
}

Status WatcherEffects::save_next(const wire::CommandT& command) {
  const Json object = TRY(read(command));
  if (object.is_null() || object["metadata"].contains("deletionTimestamp")) return ok();
  const Json& meta = object["metadata"];
  const Json there = meta.value("finalizers", Json::array()), all = with_finalizer(there, true);
  if (command.body.AsSaveRevision()->finalize && there != all)
    TRY(write(command, "", [&](const Json*) -> Json {
      return {{"metadata", {{"finalizers", all}}}};
    }));
  // Changed meanwhile: a newer row takes this one's place, or the same wish comes back unseen.
  if (revision_of_object(object) != command.revision)
    return Error{Code::unavailable, "the Workspace has been changed"};
  const auto listing = TRY(cluster_.list(
      {cluster::controller_revisions, command.ns, "workspace.kaito.io/name=" + command.name}));
  const RevisionPlan plan = TRY(plan_revision(object, listing.items));
  const cluster::Kind& kind = cluster::controller_revisions;
  if (!plan.leftover.empty()) TRY(cluster_.remove({kind, command.ns, plan.name}, plan.leftover));
  if (!plan.object.empty()) {
    const auto made = cluster_.create(apply_of(command, plan));
    if (!made.ok() && made.error().code == Code::conflict)  // the leftover is still ending
      return Error{Code::unavailable, made.error().what};
    TRY(made);
  }
  if (!plan.expired.empty()) TRY(cluster_.remove({kind, command.ns, plan.expired}, ""));
  if (noted_on(object) == plan.note) return ok();
  return write(command, "", [&](const Json*) -> Json {
    return {{"metadata", {{"annotations", annotations_of(plan.note)}}}};
  });
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
  const std::string patch = status_patch(*command.body.AsPatchStatus()->status);
  return write(command, "status", [&](const Json*) { return Json::parse(patch); });
}
}  // namespace kairo::watcher
