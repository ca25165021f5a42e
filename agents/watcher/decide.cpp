// agents/watcher/decide.cpp - every fact of a Workspace ends here, as one coalesced status.
#include "agents/watcher/decide.h"

#include "agents/runtime/decision.h"
#include "agents/watcher/status.h"

namespace kairo::watcher {
namespace {
using runtime::ask;
using runtime::Decision;

constexpr std::int64_t progress_every_ms = 1'000;

// Nothing of the Workspace is left: no Job, no server, no run directory, no node held.
bool is_cleaned_up(const wire::RecordT& record) {
  if (record.job && record.job->exists) return false;
  if (record.server && record.server->exists) return false;
  if (record.run && record.run->planned) return false;
  const bool had_run = record.run || record.run_dir;
  if (had_run && !(record.run_dir && record.run_dir->state == wire::RunDirState::Removed))
    return false;
  return record.resources && record.resources->state == wire::ResourcesState::Released;
}

void set_finalizer(Decision& d, const wire::RecordT& record, bool present) {
  wire::SetFinalizerT set;
  set.present = present;
  set.workspace_uid = record.uid;
  ask(d, record, "finalizer", present ? "on" : "off", "", std::move(set));
}

void tell(Decision& d, const wire::RecordT& record, std::int64_t now_ms) {
  const wire::StatusT status = compose(record, now_ms);
  if (record.status && *record.status == status) return;
  const std::int64_t next_ms = record.patched_at_ms + progress_every_ms;
  if (record.status && now_ms < next_ms && !is_urgent(*record.status, status)) {
    d.wake_at_ms = next_ms;
    return;
  }
  wire::PatchStatusT patch;
  patch.status = runtime::copy(status);
  patch.generation = record.workspace->generation;
  wire::CommandT write;
  write.coalesce = "status";
  write.body.Set(std::move(patch));
  wire::AnnounceStatusT announce;
  announce.status = runtime::copy(status);
  announce.version = record.workspace->version;
  wire::CommandT say;
  say.coalesce = "announce";
  say.body.Set(std::move(announce));
  d.status = runtime::copy(status);
  d.commands.push_back(std::move(write));
  d.commands.push_back(std::move(say));
}
}  // namespace

Decision decide(const wire::RecordT& record, const runtime::View& view) {
  Decision d;
  if (!record.workspace || !record.workspace->exists) return d;
  const wire::WorkspaceT& w = *record.workspace;
  if (w.deleting && is_cleaned_up(record)) {
    if (w.finalized) set_finalizer(d, record, false);
    return d;
  }
  if (!w.deleting) {
    if (!w.finalized) set_finalizer(d, record, true);
    wire::SaveRevisionT save;
    save.workspace = runtime::copy(w);
    ask(d, record, "revision", w.revision, w.revision, std::move(save));
  }
  tell(d, record, view.now_ms);
  return d;
}
}  // namespace kairo::watcher
