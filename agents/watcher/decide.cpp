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

// On the bus. `as` is remembered: the incarnation of the bus that has heard it, or "gone".
void announce(Decision& d, const wire::StatusT* status, const std::string& as) {
  wire::AnnounceStatusT body;
  if (status != nullptr) body.status = runtime::copy(*status);
  wire::CommandT command;
  command.coalesce = "announce";
  command.body.Set(std::move(body));
  d.commands.push_back(std::move(command));
  wire::MarkT mark;
  mark.key = "announce";
  mark.value = as;
  d.marks.push_back(std::move(mark));
}

// Another one: the bus may have lost the last status, or will soon have outlived it (30 days).
std::string heard(const runtime::View& view) {
  constexpr std::int64_t period_ms = 20LL * 24 * 3600 * 1000;
  return view.incarnation + "/" + std::to_string(view.now_ms / period_ms);
}

bool may_wait(const wire::RecordT& record, const wire::StatusT& status, std::int64_t now_ms) {
  const bool is_early = now_ms >= record.patched_at_ms &&  // else the clock was set back
                        now_ms < record.patched_at_ms + progress_every_ms;
  return record.status && is_early && !is_urgent(*record.status, status);
}

void tell(Decision& d, const wire::RecordT& record, const runtime::View& view) {
  const wire::StatusT status = compose(record, view.now_ms);
  if (record.status && *record.status == status) {
    const bool is_lost =
        !view.incarnation.empty() && runtime::mark_of(record, "announce") != heard(view);
    if (is_lost) announce(d, &status, heard(view));
    return;
  }
  if (may_wait(record, status, view.now_ms)) {
    d.wake_at_ms = record.patched_at_ms + progress_every_ms;
    return;
  }
  wire::PatchStatusT patch;
  patch.status = runtime::copy(status);
  wire::CommandT write;
  write.coalesce = "status";
  write.body.Set(std::move(patch));
  d.commands.push_back(std::move(write));
  announce(d, &status, heard(view));
  d.status = runtime::copy(status);
}
}  // namespace

Decision decide(const wire::RecordT& record, const runtime::View& view) {
  Decision d;
  if (!record.workspace) return d;
  if (!record.workspace->exists) {
    if (record.status && runtime::mark_of(record, "announce") != "gone")
      announce(d, nullptr, "gone");
    return d;
  }
  const wire::WorkspaceT& w = *record.workspace;
  if (w.deleting && is_cleaned_up(record)) {
    if (w.finalized) set_finalizer(d, record, false);
    return d;
  }
  if (!w.deleting) {
    if (!w.finalized) set_finalizer(d, record, true);
    ask(d, record, "revision", w.revision, w.revision, wire::SaveRevisionT{});
  }
  tell(d, record, view);
  return d;
}
}  // namespace kairo::watcher
